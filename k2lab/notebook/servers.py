"""Servers for a notebook: their URLs handed in by a report, or started for the kernel.

A report starts the servers outside the kernel and passes their URLs in. In
JupyterLab nobody does, so the set-up cell starts what is missing; such a server
ends with the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from k2lab import engine
from k2lab.errors import InputError
from k2lab.notebook.fleet import Fleet, Waiting
from k2lab.notebook.subjects import Subject, parts_of, subject_at

ANSI = re.compile(r"\x1b\[[0-9;]*m")
"""Colours in a log."""


def connect(servers: Mapping[str, str]) -> dict[str, Subject]:
    """A subject for each name; a name without a URL is served for as long as this process lives.

    A name is ``ENGINE VARIANT [FLAG...]``, as :mod:`k2lab.notebook.subjects` reads it.

    >>> subjects = k2lab.connect({"0.32.0 current": base_url})
    >>> subjects["0.32.0 current"].engine
    '0.32.0'
    """
    missing = [name for name, url in servers.items() if not url]
    running = {(s.engine, s.model, s.flags): s.base_url for s in engine.running()}
    found = {name: running.get(parts_of(name), "") for name in missing}
    started = _started([name for name in missing if not found[name]])
    urls = {**servers, **found, **started}
    return {name: subject_at(name, urls[name]) for name in servers}


@contextmanager
def serving(names: Sequence[str]) -> Iterator[dict[str, str]]:
    """URLs of freshly started servers by name; all are stopped at the end of the block."""
    with Fleet() as fleet:
        fleet.begin(names)
        yield fleet.urls(names)


def log_lines(subject: Subject, text: str) -> list[str]:
    """Lines of a local server's log that hold ``text``; raises :class:`InputError` for a server we did not start."""
    for server in engine.running():
        if server.base_url == subject.endpoint.base_url:
            log = ANSI.sub("", Path(server.log).read_text(encoding="utf-8", errors="replace"))
            return [line for line in log.splitlines() if text in line]
    raise InputError(f"the log of {subject.name} cannot be read: {subject.endpoint.base_url} was not started by k2lab")


def _started(names: Sequence[str]) -> dict[str, str]:
    """URLs of servers that live as long as this process; a notebook shows which are waited for."""
    if not names:
        return {}
    with Fleet() as fleet:
        fleet.begin(names)
        fleet.urls(names, _shown(len(names)))
        return {name: server.base_url for name, server in fleet.release().items()}


def _shown(count: int) -> Waiting:
    """One line under the cell that starts servers, kept up to date."""
    from IPython.display import Pretty, display

    show: Callable[..., Any] = display
    text: Callable[[str], Any] = Pretty
    line = show(text(f"starting {count} vLLM servers"), display_id=True)

    def waiting(names: tuple[str, ...]) -> None:
        if line is not None:
            line.update(text(f"starting vLLM servers, {count - len(names)} of {count} ready; next {names[0]}"))

    return waiting
