"""Which Python code of a model folder may run: none unasked, but for the code that k2lab ships and knows by its digest.

Facts, of transformers 5.24 and vLLM 0.32.0: what runs is what an ``auto_map``
names, in whichever configuration of the folder and however deep in it. An entry
may also name a file elsewhere (``OWNER/REPO--module.Class`` is fetched, and a
path after the folder's own is opened), and a configuration may name another
model, whose code then counts as trusted, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from k2lab.errors import SourceError
from k2lab.prompt import carried
from k2lab.prompt.files import CONFIG, Config, is_file, read_bytes, read_object

CLASS_REFERENCE = re.compile(r"(?P<module>[A-Za-z_]\w*)\.[A-Za-z_]\w*", re.ASCII)
"""The one form of an ``auto_map`` entry that names a file of the folder itself: ``module.Class``."""

CONFIGURATIONS = "*config*.json"
"""What transformers reads an ``auto_map`` of; ``config.5.0.0.json`` goes before ``config.json`` for a later release."""

PLAIN_FILES = frozenset(
    {"config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json",
     "model.safetensors.index.json"}
)  # fmt: skip
PLAIN_KEYS = frozenset(
    {"architectures", "attention_bias", "attention_dropout", "bos_token_id", "dtype", "eos_token_id", "head_dim",
     "hidden_act", "hidden_size", "initializer_range", "intermediate_size", "max_position_embeddings", "mlp_bias",
     "model_type", "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "pad_token_id",
     "pretraining_tp", "rms_norm_eps", "rope_parameters", "rope_scaling", "rope_theta", "tie_word_embeddings",
     "torch_dtype", "transformers_version", "use_cache", "vocab_size"}
)  # fmt: skip
"""JSON files, and keys of ``config.json``, that cannot name another model (``speculators_config``, an adapter's base):
a server that trusts one folder's code trusts that of every model which it is led to."""

OTHER_MODELS = ("config", "enable-lora", "hf-", "lora", "model", "sc", "speculative", "tokenizer")
"""How the flags of vLLM begin that name a model, change what a folder says, or name a file of further flags."""

ADVICE = "read it, then pass --trust-remote-code"


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """Python code that the configurations of a folder name, as file names of the folder."""

    folder: Path
    tokenizer: tuple[str, ...]
    named: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """All that could take part: what is named, and every Python file beside it, which that could import."""
        return tuple(sorted({*self.named, *_python(self.folder)}))

    @property
    def foreign(self) -> tuple[str, ...]:
        """Those that k2lab does not ship itself."""
        return tuple(file for file in self.files if not _is_known(self.folder, file))

    @property
    def missing(self) -> tuple[str, ...]:
        """Those that are named and not there."""
        return tuple(file for file in self.named if not is_file(self.folder / file))


def code_of(folder: Path) -> Code:
    """What the configurations of a folder name; raises :class:`SourceError` for an entry that leads elsewhere."""
    configs = [path.name for path in sorted(folder.glob(CONFIGURATIONS)) if is_file(path)]
    named = [_module(folder, entry) for name in configs for entry in _references(read_object(folder / name))]
    own = [_module(folder, entry) for entry in _references(read_object(folder / CONFIG))]
    return Code(folder=folder, tokenizer=tuple(own), named=tuple(dict.fromkeys(named)))


def runs_code(folder: Path, config: Config, *, has_ranks: bool, trust_remote_code: bool) -> bool:
    """Whether a tokenizer's code is to run here, which it never does without consent.

    Raises :class:`SourceError` where ids or prompt cannot be had without it, or
    it is not there. ``has_ranks``: the ids come from Kimi's ranks, which are
    read without its code. What k2lab ships is known for what it does, and is
    not run either: see :func:`adds_generation_prompt`.
    """
    if not any(_references(config)) or (has_ranks and not trust_remote_code):
        return False
    code = code_of(folder)
    _refuse_missing(code)
    if code.foreign and not trust_remote_code:
        raise SourceError(f"the tokenizer of {folder} is Python code ({_shown(code.foreign)}): {ADVICE}")
    return trust_remote_code


def adds_generation_prompt(config: Config) -> bool:
    """Whether a folder's tokenizer is of k2lab's own classes: those add a generation prompt that a template lacks.

    Asked after :func:`runs_code`, for a folder whose code is all known.
    """
    modules = {match["module"] for match in map(CLASS_REFERENCE.fullmatch, _references(config)) if match}
    return bool(modules & {name.removesuffix(".py") for name in known_code()})


def serves_code(folder: Path, flags: Sequence[str] = (), *, trust_remote_code: bool = False) -> bool:
    """Whether a server of a folder is to trust its code: where there is some, and all is known or there is consent.

    Raises :class:`SourceError` for code that lacks consent, and for known code
    where the folder or ``flags`` may lead the server to another model, whose
    code would be trusted with it.
    """
    code = code_of(folder)
    if not code.named:
        return trust_remote_code
    _refuse_missing(code)
    if trust_remote_code:
        return True
    if code.foreign:
        raise SourceError(f"{folder} comes with Python code ({_shown(code.foreign)}): {ADVICE}")
    if elsewhere := [*_leading_elsewhere(folder), *filter(_names_a_model, flags)]:
        raise SourceError(
            f"{folder} has code that k2lab knows, but {elsewhere[0]} may name another model, whose code would run with"
            " it: look at that, then pass --trust-remote-code"
        )
    return True


@cache
def known_code() -> Mapping[str, str]:
    """sha256 of each tokenizer file that k2lab ships, by file name."""
    root = Path(__file__).parents[1] / "nano" / "code"
    own = {path.name: path.read_bytes() for path in sorted(root.glob("*.py"))}
    own |= {name: text.encode() for name, text in carried.carried_files().items()}
    return {name: sha256(data).hexdigest() for name, data in own.items()}


def _refuse_missing(code: Code) -> None:
    if code.missing:
        raise SourceError(
            f"auto_map of {code.folder} names {code.missing[0]}, which is not there: fetch its Python files, too"
        )


def _module(folder: Path, entry: str) -> str:
    """The file that an entry of ``auto_map`` names; one that lies elsewhere is never run, whatever the consent."""
    match = CLASS_REFERENCE.fullmatch(entry)
    if match is None:
        raise SourceError(
            f"auto_map of {folder} names {entry[:99]!r}, code that lies elsewhere: it is not run, whatever the"
            " consent; an entry is module.Class"
        )
    return f"{match['module']}.py"


def _references(config: object) -> list[str]:
    """The classes that an ``auto_map`` points at, wherever in a configuration it stands."""
    found: list[str] = []
    left = [config]
    while left:
        item = left.pop()
        if isinstance(item, Mapping):
            found += _texts(item.get("auto_map"))
            left += item.values()
        elif isinstance(item, list):
            left += item
    return found


def _texts(table: object) -> Iterator[str]:
    """What stands in an ``auto_map``: a class, a list of them, or such by the name of their Auto class."""
    left = [table]
    while left:
        item = left.pop()
        if isinstance(item, Mapping):
            left += item.values()
        elif isinstance(item, list):
            left += item
        elif item:
            yield str(item)


def _leading_elsewhere(folder: Path) -> list[str]:
    """What of a folder is not of a plain model, and so may lead a server to another one."""
    files = [path.name for path in sorted(folder.glob("*.json")) if path.name not in PLAIN_FILES]
    keys = [key for key in read_object(folder / "config.json") if key not in PLAIN_KEYS]
    return files + [f"{key} in config.json" for key in keys]


def _names_a_model(flag: str) -> bool:
    """Whether a server's flag is, or may be read as, one that names a model or a file of further flags."""
    if not flag.startswith("-") or re.fullmatch(r"-[\d.]+", flag):
        return False
    return any(_name(flag).startswith(other) or other.startswith(_name(flag)) for other in OTHER_MODELS)


def _name(flag: str) -> str:
    return flag.lstrip("-").replace("_", "-").partition("=")[0].partition(".")[0]


def _python(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if not path.is_dir())


def _is_known(folder: Path, file: str) -> bool:
    known = known_code().get(file)
    return known is not None and is_file(folder / file) and sha256(read_bytes(folder / file)).hexdigest() == known


def _shown(files: Sequence[str], most: int = 5) -> str:
    return ", ".join(files[:most]) + (f" and {len(files) - most} more" if len(files) > most else "")
