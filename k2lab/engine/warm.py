"""Warm processes: one for an engine's interpreter, which has imported the engine and forks servers and scripts from it.

A start of vLLM spends nine tenths of its time on imports, and does them twice; a
fork has them done. ``make start-speed`` of four servers with k2-nano, CPU seconds
of a start, median: 14.1 alone and 0.5 forked (0.11.0), 15.4 and 1.3 (0.32.0),
after 7.4 once for the warm process itself. A forked server has 0.3 GB of memory
to itself in place of 1.3 (0.11.0), 0.5 in place of 1.1 (0.32.0). Answers stay the
same, ids and log probabilities: measured on 400 requests for each.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import IO

from k2lab import paths
from k2lab.errors import EngineError

log = logging.getLogger(__name__)

WORKER = Path(__file__).with_name("warm_worker.py")

SERVER_MODULE = "vllm.entrypoints.openai.api_server"
MODULES = (
    SERVER_MODULE,
    "vllm.v1.engine.async_llm",
    "vllm.v1.engine.core",
    "vllm.v1.worker.cpu_worker",
    "vllm.v1.structured_output.backend_xgrammar",
    "vllm.v1.structured_output.backend_outlines",
    "vllm.plugins.lora_resolvers.filesystem_resolver",
)
"""The server, and what it and its core import as they start. Each imports in one thread; one that a release has not
is left out."""

POLL_S = 0.1
TIMEOUT_S = 120.0
LISTEN_TIMEOUT_S = 5.0

_mine: dict[str, subprocess.Popen[bytes]] = {}
"""Warm processes that this one started, by address; each ends when our end of its standard input closes."""
_starting = Lock()


class Refused(EngineError):
    """A warm process is not there, went away, or would not fork; the usual start is as good, only slower."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fork:
    """A process that was forked. It waits to be begun; it closes the connection as it dies, and ends when we do."""

    pid: int
    connection: socket.socket

    def begin(self, files: Sequence[IO[bytes]]) -> None:
        """Let it run, with these as standard input, output and error."""
        socket.send_fds(self.connection, [b"\n"], [file.fileno() for file in files])


def ready(python: Path, environment: Mapping[str, str]) -> str:
    """The address of the interpreter's warm process, which is started where there is none.

    It may still be importing: whoever asks it waits. ``environment`` is that of
    the processes which are to be forked.
    """
    address = address_of(python)
    with _starting:
        if not is_there(address):
            _start(python, address, environment)
    return address


def address_of(python: Path) -> str:
    """The abstract socket of an interpreter's warm process: one for each user and cache folder."""
    place = f"{os.getuid()}\n{paths.cache_dir()}\n{python}"
    return f"k2lab-warm-{hashlib.sha256(place.encode()).hexdigest()[:20]}"


def is_there(address: str) -> bool:
    """Whether a warm process of this user listens."""
    with contextlib.suppress(Refused):
        _connected(address).close()
        return True
    return False


def end_all() -> None:
    """End the warm processes that this process started; what was forked from them lives on."""
    for address in list(_mine):
        process = _mine.pop(address)
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.wait()


def end(python: Path) -> None:
    """End an interpreter's warm process at once, also while it imports, if this process started it."""
    process = _mine.pop(address_of(python), None)
    if process is not None:
        process.kill()
        process.communicate()


def fork(python: Path, argv: Sequence[str], environment: Mapping[str, str], cancel: Event | None = None) -> Fork:
    """Have a process forked that runs ``argv``, what follows the interpreter on a command line, once it is begun.

    The interpreter's warm process is started where there is none. Raises
    :class:`Refused` where none was forked, also once ``cancel`` is set.
    """
    address = ready(python, environment)
    asked = {"argv": list(argv), "cwd": os.getcwd(), "environment": dict(environment)}
    connection = _connected(address)
    try:
        connection.sendall(json.dumps(asked).encode() + b"\n")
        return Fork(pid=_pid(_answer(connection, cancel or Event())), connection=connection)
    except BaseException as error:
        connection.close()
        if isinstance(error, OSError):
            raise Refused(f"the warm process went away: {error}") from error
        raise


def run(
    python: Path, argv: Sequence[str], environment: Mapping[str, str], text: str, timeout_s: float
) -> tuple[str, str]:
    """Standard output and error of a script that is given ``text``: forked, or by an interpreter of its own.

    Raises ``TimeoutError`` where it does not end in time.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        given.write(text.encode())
        given.seek(0)
        files = (given, out, errors)
        try:
            _run_forked(fork(python, argv, environment), files, timeout_s)
        except Refused as why:
            log.info("%s: starting an interpreter of its own: %s", python, why)
            _run_alone([str(python), *argv], environment, files, timeout_s)
        return _text(out), _text(errors)


def _run_forked(child: Fork, files: Sequence[IO[bytes]], timeout_s: float) -> None:
    with child.connection as connection:
        connection.settimeout(timeout_s)
        child.begin(files)
        try:
            connection.recv(1)
        except TimeoutError:
            os.killpg(child.pid, signal.SIGKILL)
            raise


def _run_alone(
    command: Sequence[str], environment: Mapping[str, str], files: Sequence[IO[bytes]], timeout_s: float
) -> None:
    given, out, errors = files
    try:
        subprocess.run(command, stdin=given, stdout=out, stderr=errors, env=environment, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{command[0]} did not end within {timeout_s:.0f} s") from None


def _start(python: Path, address: str, environment: Mapping[str, str]) -> None:
    """Start one, and wait until it listens."""
    _mine.pop(address, None)
    process = subprocess.Popen(
        [str(python), str(WORKER), address, *MODULES],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
        start_new_session=True,
    )
    _mine[address] = process
    deadline = time.monotonic() + LISTEN_TIMEOUT_S
    while process.poll() is None and not is_there(address) and time.monotonic() < deadline:
        time.sleep(0.02)


def _connected(address: str) -> socket.socket:
    """A connection to a process of this user."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect("\0" + address)
        _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if user != os.getuid():
            raise OSError("another user listens there")
    except OSError as error:
        connection.close()
        raise Refused(f"no warm process: {error}") from error
    return connection


def _answer(connection: socket.socket, cancel: Event) -> str:
    """The line that it answers with, once it has imported the engine."""
    connection.settimeout(POLL_S)
    deadline = time.monotonic() + TIMEOUT_S
    said = b""
    while not said.endswith(b"\n"):
        if cancel.is_set() or time.monotonic() > deadline:
            raise Refused("the warm process did not answer in time")
        with contextlib.suppress(TimeoutError):
            more = connection.recv(4096)
            if not more:
                raise Refused("the warm process went away")
            said += more
    connection.settimeout(None)
    return said.decode()


def _pid(answer: str) -> int:
    pid, _, reason = answer.strip().partition(" ")
    if pid == "0":
        raise Refused(f"the warm process does not fork: {reason}")
    return int(pid)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
