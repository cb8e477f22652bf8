"""Servers for a notebook: named ``ENGINE VARIANT``, handed in by a report or started for the kernel.

A third word sets a flag of the server: the content format that vLLM otherwise
detects from the template, as in ``0.32.0 current string``, or how strictly its
own grammar holds tool calls, as in ``0.32.0 current strict-parameter``.

A report starts the servers outside the kernel and passes their URLs in. In
JupyterLab nobody does, so the set-up cell starts what is missing; such a server
ends with the kernel.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from k2lab import engine, paths
from k2lab.engine import Server
from k2lab.errors import InputError
from k2lab.nano import folders
from k2lab.prompt.source import Source, open_source
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.server.endpoint import Endpoint

ANSI = re.compile(r"\x1b\[[0-9;]*m")
"""Colours in a log."""

FLAGS: Mapping[str, tuple[str, str]] = {
    "string": ("--chat-template-content-format", "string"),
    "openai": ("--chat-template-content-format", "openai"),
    "strict-function": ("--tool-strict-level", "function"),
    "strict-parameter": ("--tool-strict-level", "parameter"),
}
"""What a third word of a server's name means."""

STARTING_AT_ONCE = 2
"""A start keeps one core busy importing; more at once than this only slows each."""

Say = Callable[[str], None]


@dataclass(frozen=True)
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
    release, *rest = name.split() or [""]
    if not rest or len(rest) > 2 or (len(rest) == 2 and rest[1] not in FLAGS):
        raise InputError(
            f"server name {name!r} is not of the form 'ENGINE VARIANT [FLAG]', such as '0.11.0 legacy';"
            f" FLAG is one of {', '.join(FLAGS)}"
        )
    return release, rest[0], list(FLAGS[rest[1]]) if len(rest) == 2 else []


def connect(servers: Mapping[str, str], say: Say = print) -> dict[str, Subject]:
    """A subject for each name; a name without a URL is served for as long as this process lives."""
    missing = [name for name, url in servers.items() if not url]
    running = {(s.engine, s.model, s.flags): s.base_url for s in engine.running()}
    found = {name: running.get(_identity(name), "") for name in missing}
    started = start_all([name for name in missing if not found[name]], say)
    urls = {**servers, **found, **{name: server.base_url for name, server in started.items()}}
    return {name: _subject(name, urls[name]) for name in servers}


@contextmanager
def serving(names: Sequence[str], say: Say = print) -> Iterator[dict[str, str]]:
    """URLs of freshly started servers by name; all are stopped at the end of the block."""
    started = start_all(names, say)
    try:
        yield {name: server.base_url for name, server in started.items()}
    finally:
        _stop_all(started.values())


def start_all(names: Sequence[str], say: Say = print) -> dict[str, Server]:
    """Start servers, two at a time; when one fails, the others are stopped and its error is raised."""
    if not names:
        return {}
    say(f"starting {len(names)} vLLM servers: {', '.join(names)}")
    started: dict[str, Server] = {}

    def begin(name: str) -> None:
        release, folder, flags = _identity(name)
        python = engine.resolve(release).python
        if python is None:
            raise InputError(f"{name!r}: give the URL as the value, not as the name")
        started[name] = engine.start(python, release, Path(folder), flags=flags, watch_parent=True)
        say(f"  {name}: ready at {started[name].base_url}")

    try:
        with ThreadPoolExecutor(STARTING_AT_ONCE) as pool:
            futures = [pool.submit(begin, name) for name in names]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BaseException:
        _stop_all(started.values())
        raise
    return {name: started[name] for name in names}


def provenance(subjects: Mapping[str, Subject]) -> dict[str, str]:
    """What a notebook's results were made with: versions, model, templates, hardware, time."""
    weights = hashlib.sha256((paths.data_dir() / "models" / "k2-nano" / "model.safetensors").read_bytes()).hexdigest()
    facts = {
        "k2lab": version("k2lab"),
        "jinja2 (rendering by hand)": version("jinja2"),
        "k2-nano weights, sha256": weights,
        "hardware": f"{os.cpu_count()} CPU threads, {platform.machine()}, Python {platform.python_version()}",
        "time": datetime.now(UTC).isoformat(timespec="minutes"),
    }
    for subject in subjects.values():
        template = hashlib.sha256((subject.folder / "chat_template.jinja").read_bytes()).hexdigest()
        summary = folders.VARIANTS[subject.variant].summary
        running = subject.endpoint.version() or "version not given"
        facts[f"server {subject.name}"] = f"vLLM {running}; {summary}; template sha256 {template[:12]}…"
    return facts


def log_lines(subject: Subject, text: str) -> list[str]:
    """Lines of a local server's log that hold ``text``; raises :class:`InputError` for a server we did not start."""
    for server in engine.running():
        if server.base_url == subject.endpoint.base_url:
            log = ANSI.sub("", Path(server.log).read_text(encoding="utf-8", errors="replace"))
            return [line for line in log.splitlines() if text in line]
    raise InputError(f"the log of {subject.name} cannot be read: {subject.endpoint.base_url} was not started by k2lab")


def _stop_all(servers: Iterable[Server]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(engine.stop, list(servers)))


def _identity(name: str) -> tuple[str, str, tuple[str, ...]]:
    """Engine, folder and flags: what a running server must agree in to be the one that is named."""
    release, _, flags = parse(name)
    return release, str(_folder(name)), (*engine.resolve(release).flags, *flags)


def _folder(name: str) -> Path:
    return folders.assemble(parse(name)[1])


def _subject(name: str, url: str) -> Subject:
    release, variant, _ = parse(name)
    return Subject(name, release, variant, Endpoint(url), _folder(name))
