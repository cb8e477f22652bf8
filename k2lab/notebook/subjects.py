"""A server by its name: ``ENGINE VARIANT [FLAG...]``, such as ``0.11.0 legacy``.

Each further word sets a flag of the server: the content format that vLLM
otherwise detects from the template, as in ``0.32.0 current string``, how strictly
its own grammar holds tool calls, as in ``0.32.0 current strict-parameter``, that it
has the reasoning parser of K2-Thinking to K2.7, as in ``0.32.0 thinking
reasons``, or that a grammar holds the reasoning, too, as in ``0.32.0 k3
in-reasoning``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Event

from k2lab import engine
from k2lab.engine import Server
from k2lab.errors import InputError
from k2lab.nano import folders
from k2lab.prompt.source import Source, open_source
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.server.endpoint import Endpoint

FLAGS: Mapping[str, tuple[str, str]] = {
    "string": ("--chat-template-content-format", "string"),
    "openai": ("--chat-template-content-format", "openai"),
    "reasons": folders.REASONING,
    "in-reasoning": ("--structured-outputs-config.enable_in_reasoning", "True"),
    "strict-function": ("--tool-strict-level", "function"),
    "strict-parameter": ("--tool-strict-level", "parameter"),
}
"""What a further word of a server's name means."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A server, and the folder that it serves: what an experiment is done on."""

    name: str
    engine: str
    variant: str
    endpoint: Endpoint
    folder: Path

    @cached_property
    def source(self) -> Source:
        """The folder, opened."""
        return open_source(self.folder)

    @property
    def tokenizer(self) -> Tokenizer:
        """That of the model folder, whose own tokenizer code is not run for it."""
        plain = open_source(folders.assemble("current")).tokenizer
        assert plain is not None
        return plain


def parse(name: str) -> tuple[str, str, list[str]]:
    """``"0.11.0 legacy"`` as engine, variant of k2-nano, and flags of the server."""
    release, variant, *words = name.split() if " " in name.strip() else ("", "", "")
    if not release or not set(words) <= set(FLAGS):
        raise InputError(
            f"server name {name!r} is not of the form 'ENGINE VARIANT [FLAG...]', such as '0.11.0 legacy';"
            f" FLAG is one of {', '.join(FLAGS)}"
        )
    return release, variant, [flag for word in words for flag in FLAGS[word]]


def check_name(name: str) -> None:
    """Raises :class:`InputError` or :class:`EngineError` for a name that nothing can be started for."""
    release, variant, _ = parse(name)
    folders.assemble(variant)
    if engine.resolve(release).python is None:
        raise InputError(f"{name!r}: give the URL as the value, not as the name")


def parts_of(name: str) -> tuple[str, str, tuple[str, ...]]:
    """Engine, folder and flags: what a running server must agree in to be the one that is named."""
    release, variant, flags = parse(name)
    return release, str(folders.assemble(variant, engine=release)), (*engine.resolve(release).flags, *flags)


def start(name: str, cancel: Event | None = None) -> Server:
    """Start the server that is named and wait until it answers; it ends with this process."""
    check_name(name)
    release, folder, flags = parts_of(name)
    python = engine.resolve(release).python
    assert python is not None
    return engine.start(python, release, Path(folder), flags=flags, fork=True, cancel=cancel)


def subject_at(name: str, url: str) -> Subject:
    """What is at a URL, as the server that is named."""
    release, variant, _ = parse(name)
    folder = folders.assemble(variant, engine=release)
    return Subject(name=name, engine=release, variant=variant, endpoint=Endpoint(url), folder=folder)
