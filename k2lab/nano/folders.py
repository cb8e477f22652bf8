"""Model folders of the nanos: each set of weights under several tokenizers and templates.

A folder is assembled on demand in the cache, under a name that ends in a digest
of all that went into it; a finished folder is never changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer

from k2lab import paths
from k2lab.engine import locks
from k2lab.errors import InputError, SourceError
from k2lab.families.special import CLOSE, END, END_OF_MSG, OPEN, SEP
from k2lab.nano import heads, tokenizer
from k2lab.prompt import carried, templates
from k2lab.wire.records import THINK_BEGIN, THINK_END

CODE = Path(__file__).parent / "code"
REASONING = ("--reasoning-parser", "kimi_k2")
"""What a server of a variant that thinks is started with beside what all are: vLLM 0.11.1 and later have it."""

WEIGHT_FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """How a folder differs from the others: its weights, its template, and the tokenizer class over it."""

    summary: str
    template: Callable[[], str] | None
    """Makes the chat template; ``None`` where the tokenizer class renders by itself."""
    tokenizer_class: str | None = None
    """``module.Class`` of :data:`CODE`, or ``None`` for the plain fast tokenizer."""
    model: str = "k2-nano"
    """The folder of its weights under ``data/models``."""
    ends: str = END
    """The token that ends what the model writes."""


def _current() -> str:
    return templates.read(templates.CURRENT)


def _old() -> str:
    return templates.read(templates.OLD)


def _current_without_block() -> str:
    return templates.without_generation_block(_current())


def _content_fault() -> str:
    return templates.with_content_fault(_current())


def _thinking(summary: str, name: str) -> Variant:
    return Variant(summary=summary, template=lambda: templates.read(name), model="k2-nano-thinking")


KWARGS = "tokenization_kwargs.KwargsTokenizer"
DECLARED = "tokenization_declared.DeclaredTokenizer"
XTML = "tokenization_xtml.XtmlTokenizer"

VARIANTS: Mapping[str, Variant] = {
    "current": Variant(summary="plain tokenizer, the real current template", template=_current),
    "legacy": Variant(
        summary="flag in **kwargs, template without the flag", template=_current_without_block, tokenizer_class=KWARGS
    ),
    "kwargs-template": Variant(
        summary="flag in **kwargs, template reads the flag", template=_current, tokenizer_class=KWARGS
    ),
    "declared": Variant(
        summary="flag in the signature, template without the flag",
        template=_current_without_block,
        tokenizer_class=DECLARED,
    ),
    "declared-template": Variant(
        summary="flag in the signature, template reads the flag", template=_current, tokenizer_class=DECLARED
    ),
    "content-fault": Variant(
        summary="plain tokenizer, the current template with the old one's content fault", template=_content_fault
    ),
    "old": Variant(summary="plain tokenizer, the real old template", template=_old),
    "thinking": _thinking("the weights that think, K2-Thinking's real template", "moonshotai-Kimi-K2-Thinking"),
    "thinking-k2.5": _thinking("the weights that think, K2.5's real template", "moonshotai-Kimi-K2.5"),
    "thinking-k2.6": _thinking("the weights that think, K2.6's real template", "moonshotai-Kimi-K2.6"),
    "thinking-k2.7": _thinking("the weights that think, K2.7's real template", "moonshotai-Kimi-K2.7-Code"),
    "k3": Variant(
        summary="Kimi K3's form: no template, the tokenizer renders XTML",
        template=None,
        tokenizer_class=XTML,
        model="k3-nano",
        ends=END_OF_MSG,
    ),
}


def assemble(name: str, weights: Path | None = None, *, engine: str = "") -> Path:
    """The folder of a variant, made in the cache unless it stands there already.

    For an ``engine`` whose attention takes no heads of k2-nano's size, the same model with wider ones.
    """
    if name not in VARIANTS:
        raise InputError(f"k2-nano has no variant {name!r}: choose one of {', '.join(sorted(VARIANTS))}")
    model = VARIANTS[name].model
    weights = weights or paths.data_dir() / "models" / model
    if not (weights / "model.safetensors").exists():
        command = "make nano" + ("" if model == "k2-nano" else f" FAMILY={model.replace('-nano', '')}")
        raise SourceError(f"no weights in {weights}: run `{command}` to train them")
    files = _files(VARIANTS[name])
    head_dim = locks.read(engine).head_dim if engine in locks.versions() else None
    digest = hashlib.sha256(f"heads of {head_dim}".encode() if head_dim else b"")
    for file in [*(weights / file for file in WEIGHT_FILES)]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    for file_name, text in sorted(files.items()):
        digest.update(file_name.encode() + b"\0" + text.encode())
    label = model if model.startswith(f"{name}-") else f"{model}-{name}"
    target = paths.cache_dir() / "models" / f"{label}-{digest.hexdigest()[:12]}"
    if not target.exists():
        _make(target, weights, files, head_dim)
    return target


def for_parsers() -> Path:
    """A folder without weights, for parsers alone: k2-nano's tokenizer, with the markers of all families.

    Real parsers look for the ids of ``<think>`` and of K3's markers, which each
    family's own tokenizer has.
    """
    weights = paths.data_dir() / "models" / "k2-nano"
    text = all_markers().to_str()
    target = paths.cache_dir() / "models" / f"k2-nano-for-parsers-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if not target.exists():
        config = json.dumps(tokenizer.config(), indent=2) + "\n"
        files = {"tokenizer.json": text, "tokenizer_config.json": config, "chat_template.jinja": _current()}
        _make(target, weights, files, None, copied=("config.json",))
    return target


def all_markers() -> Tokenizer:
    """k2-nano's tokenizer with the markers of all families."""
    made = Tokenizer.from_file(str(paths.data_dir() / "models" / "k2-nano" / "tokenizer.json"))
    markers = (THINK_BEGIN, THINK_END, OPEN, CLOSE, SEP, END_OF_MSG)
    made.add_tokens([AddedToken(marker, special=False, normalized=False) for marker in markers])
    return made


def _files(variant: Variant) -> dict[str, str]:
    config = tokenizer.config() | {"eos_token": variant.ends}
    files = {} if variant.template is None else {"chat_template.jinja": variant.template()}
    if variant.template is None:
        files |= carried.carried_files()
    if variant.tokenizer_class:
        module, cls = variant.tokenizer_class.split(".")
        config |= {"tokenizer_class": cls, "auto_map": {"AutoTokenizer": [None, variant.tokenizer_class]}}
        files[f"{module}.py"] = (CODE / f"{module}.py").read_text(encoding="utf-8")
    files["tokenizer_config.json"] = json.dumps(config, indent=2) + "\n"
    return files


def _make(
    target: Path,
    weights: Path,
    files: Mapping[str, str],
    head_dim: int | None,
    copied: Sequence[str] = WEIGHT_FILES,
) -> None:
    """Fill a folder beside the target, then rename: nobody ever sees half of one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
    try:
        for name in copied:
            shutil.copyfile(weights / name, fresh / name)
        if head_dim:
            _widen(fresh, head_dim)
        for name, text in files.items():
            (fresh / name).write_text(text, encoding="utf-8")
        fresh.chmod(0o755)
        try:
            os.rename(fresh, target)
        except OSError:
            if not target.exists():  # otherwise somebody else made the same folder first
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _widen(folder: Path, head_dim: int) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    wider, told = heads.widened(weights.read_bytes(), json.loads(config.read_text(encoding="utf-8")), head_dim)
    weights.write_bytes(wider)
    config.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
