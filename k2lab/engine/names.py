"""Engines by name: which there are, the interpreter or URL behind a name, and a server of one."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from k2lab import paths
from k2lab.engine import environments, locks
from k2lab.engine.locks import versions
from k2lab.engine.server import Server, serving, start
from k2lab.errors import EngineError

NOT_INSTALLED = "not installed"
"""The state of a release that is locked and does not stand here."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An interpreter that has vllm, or the URL of a running server."""

    name: str
    python: Path | None = None
    base_url: str | None = None
    flags: tuple[str, ...] = ()


def available() -> list[tuple[str, str]]:
    """``(name, state)`` of every engine that can be named without a path."""
    found = [(version, "installed" if environments.find(version).ready else NOT_INSTALLED) for version in versions()]
    if importlib.util.find_spec("vllm") is not None:
        found.append(("this", f"vllm of {sys.prefix}"))
    return found


def installed() -> list[str]:
    """Names of engines that stand, oldest first; of all that could, where none does: asked, each says what to do."""
    known = available()
    return [name for name, state in known if state != NOT_INSTALLED] or [name for name, _ in known]


def is_installed(version: str) -> bool:
    """Whether a release stands, ready to be served."""
    return environments.find(version).ready


def resolve(name: str) -> Engine:
    """An engine by name; raises :class:`EngineError` with the next step."""
    if "://" in name:
        if not name.startswith(("http://", "https://")) or set(name) & set("@?#"):
            raise EngineError("the URL of an engine is http://HOST:PORT/v1, and holds no user and no key")
        return Engine(name=name, base_url=name)
    if name == "this":
        if importlib.util.find_spec("vllm") is None:
            raise EngineError("k2lab's own environment has no vllm: name a version, an interpreter or a URL")
        return Engine(name=name, python=Path(sys.executable))
    if "/" in name:
        return Engine(name=name, python=_with_vllm(Path(name).expanduser()))
    flags = locks.read(name).flags
    found = environments.find(name)
    if not found.ready:
        raise EngineError(f"vLLM {name} is not installed: k2lab engine install {name}")
    return Engine(name=name, python=found.python, flags=flags)


@contextmanager
def serve(name: str, model: Path, *, flags: Sequence[str] = (), trust_remote_code: bool = False) -> Iterator[str]:
    """The base URL of an engine that serves the folder ``model`` for the length of the block.

    A URL in place of a name is a server that runs already. Raises
    :class:`EngineError` with the next step where the engine is not installed or
    does not start, and :class:`~k2lab.errors.SourceError` for a folder with Python
    code that k2lab does not know, which runs only with ``trust_remote_code``.

    >>> from pathlib import Path
    >>> with k2lab.serve("0.32.0", Path("my-model")) as url:  # doctest: +SKIP
    ...     k2lab.Endpoint(url).models()
    >>> with k2lab.serve(base_url, Path("my-model")) as url:
    ...     k2lab.Endpoint(url).models()
    ['m']
    """
    engine = resolve(name)
    if engine.base_url is not None:
        yield engine.base_url
        return
    assert engine.python is not None
    options = [*engine.flags, *flags]
    with serving(engine.python, engine.name, model, flags=options, trust_remote_code=trust_remote_code) as server:
        yield server.base_url


def launch(
    name: str, model: Path, *, port: int | None = None, flags: Sequence[str] = (), trust_remote_code: bool = False
) -> Server:
    """Start an engine and wait until it answers; it ends with this process, unless :func:`keep` lets it go."""
    engine = resolve(name)
    if engine.python is None:
        raise EngineError(f"{name} is a running server: there is nothing to start")
    log.info("%s: starting with the model in %s", name, paths.shown(model))
    options = [*engine.flags, *flags]
    return start(engine.python, engine.name, model, port=port, flags=options, trust_remote_code=trust_remote_code)


def _with_vllm(python: Path) -> Path:
    if not python.exists():
        raise EngineError(f"there is no interpreter at {python}: give the path of a Python that has vllm")
    probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    if subprocess.run([str(python), "-c", probe], capture_output=True, check=False).returncode != 0:
        raise EngineError(f"{python} has no vllm: install it there, or name another engine")
    return python
