"""A running engine: vLLM's OpenAI server as a process that is started, watched and ended by us."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from threading import Event
from typing import IO, Any
from urllib.parse import urlsplit

import psutil

from k2lab import kept, paths
from k2lab.engine import flags as owned
from k2lab.engine import smallrecords, supervisor, warm
from k2lab.engine.listening import check_listening
from k2lab.engine.variables import environment, own_variables
from k2lab.errors import EngineError
from k2lab.prompt import consent, source

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
READY_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 25.0
POLL_S = 0.25
HEALTH_TIMEOUT_S = 2.0
HEALTHY, HEAD_BYTES = re.compile(rb"HTTP/1\.[01] 200"), 12
"""How a good answer begins, and how long that is."""

LAST_LINES = 25
PORT_TRIES = 3
LOGS_KEPT, LOGS_KEPT_S = 20, 7 * 24 * 3600.0
"""How many logs of servers that have ended are kept, and for how long: they may hold what was asked."""

RENDERER = "vllm.entrypoints.cli.main"
NO_RENDERER = "invalid choice: 'launch'"  # what a release says that cannot start one

BASE_FLAGS = (
    "--dtype", "float32", "--max-model-len", "2048", "--enforce-eager",
    "--enable-auto-tool-choice", "--tool-call-parser", "kimi_k2",
    "--trust-request-chat-template", "--distributed-executor-backend", "uni",
    "--num-gpu-blocks-override", "256",
)  # fmt: skip
"""For a small model on a CPU, on the loopback interface. A request may bring its own template,
for experiments that vary nothing else. One
worker inside the engine's process starts 8 s sooner than one in a process of its own. 256 blocks
of key-value cache are room for 32,768 tokens and save 0.8 GB of the least that vLLM takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """What is known of a server that was started; written to a file so that another process can stop it."""

    server_id: str
    engine: str
    model: str
    base_url: str
    supervisor_pid: int
    supervisor_started: float
    server_pid: int
    log: str
    command: str
    flags: tuple[str, ...] = ()
    """What it was started with beside the flags of all."""

    @property
    def record(self) -> Path:
        """The file that holds this record."""
        return _servers_dir() / f"{self.server_id}.json"

    def alive(self) -> bool:
        """Whether the very process that was started still runs, not another that got its number."""
        return _process(self.supervisor_pid, self.supervisor_started) is not None

    def log_tail(self, lines: int = LAST_LINES) -> str:
        """The last lines of the log."""
        return tail(Path(self.log), lines)


def tail(path: Path, lines: int = LAST_LINES) -> str:
    """The last lines of a file; empty when it is not there."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 400 * lines))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


@contextlib.contextmanager
def serving(python: Path, engine: str, model: Path, **options: Any) -> Iterator[Server]:
    """A server for the length of a ``with`` block; it also ends when this process dies. Options as of :func:`start`."""
    server = start(python, engine, model, **options)
    try:
        yield server
    finally:
        stop(server)


_pipes: dict[str, IO[bytes]] = {}
"""Our ends of the pipes that tell supervisors that we live: the kernel closes them however we end."""


def start(
    python: Path,
    engine: str,
    model: Path,
    *,
    port: int | None = None,
    flags: Sequence[str] = (),
    name: str = "",
    fork: bool = False,
    trust_remote_code: bool = False,
    ready_timeout_s: float = READY_TIMEOUT_S,
    cancel: Event | None = None,
    renders: bool = False,
) -> Server:
    """Start a server on the loopback interface and wait until it answers; it ends with this process.

    :func:`keep` has it outlive this process. ``name`` is the model's, by default ``k2-nano`` or, of K3's, ``k3-nano``.
    Raises :class:`EngineError` with the last lines of the log and the command
    that repeats the start, or for a server that other machines reach. A port chosen here that somebody else takes first
    is chosen again. ``cancel``, once set, gives up a start that is under way.
    ``fork`` takes a tenth of the CPU time where several are started: see
    :mod:`k2lab.engine.warm`.
    ``renders`` starts no model: a server that makes prompts and reads outputs
    (``vllm launch render``), for which the folder needs no weights.
    Code of the folder that k2lab does not know runs only where
    ``trust_remote_code`` says so: :class:`~k2lab.errors.SourceError` otherwise.
    """
    if not model.is_dir():
        raise EngineError(f"model folder {model} is not there: give a folder with config.json and weights")
    if not (model / "config.json").exists():
        raise EngineError(f"{model} is not a model folder: it has no config.json")
    owned.refuse_owned(flags)
    trusts_code = consent.serves_code(model, flags, trust_remote_code=trust_remote_code)
    if port is not None:
        _check_port(port)
    wanted = _Start(
        python=python,
        engine=engine,
        model=model,
        flags=(*source.flags_of_family(model), *flags),
        name=name or source.served_name(model),
        fork=fork,
        trusts_code=trusts_code,
        ready_timeout_s=ready_timeout_s,
        cancel=cancel or Event(),
        renders=renders,
    )
    for attempt in range(PORT_TRIES):
        try:
            return _start_on(port or free_port(), wanted)
        except _PortTaken:
            if port is not None or attempt == PORT_TRIES - 1:
                raise
    raise AssertionError("unreachable")


def stop(server: Server) -> bool:
    """End the server's process group and nothing else; false when it had ended before."""
    process = _process(server.supervisor_pid, server.supervisor_started)
    pipe = _pipes.pop(server.server_id, None)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_TIMEOUT_S)
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()
    server.record.unlink(missing_ok=True)
    return process is not None


def running() -> list[Server]:
    """Servers that were started and still run, oldest first; records of dead ones are removed."""
    found: list[Server] = []
    for path in _servers_dir().glob("*.json"):
        server = _recorded(path)
        if server is None:
            continue
        if server.alive():
            found.append(server)
        else:
            path.unlink(missing_ok=True)
    return sorted(found, key=lambda server: server.supervisor_started)


def get(server_id: str) -> Server:
    """A running server by its id; raises :class:`EngineError` with the ids there are."""
    known = running()
    for server in known:
        if server.server_id == server_id:
            return server
    ids = ", ".join(server.server_id for server in known) or "none is running"
    raise EngineError(f"no server runs as {server_id!r}: {ids}")


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class _PortTaken(EngineError):
    """The server could not bind its port."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Start:
    """What :func:`start` was asked for."""

    python: Path
    engine: str
    model: Path
    flags: tuple[str, ...]
    name: str
    fork: bool
    trusts_code: bool
    ready_timeout_s: float
    cancel: Event
    renders: bool = False

    @property
    def program(self) -> list[str]:
        """What the interpreter runs, up to the model."""
        if self.renders:
            return ["-m", RENDERER, "launch", "render", str(self.model)]
        return ["-m", warm.SERVER_MODULE, "--model", str(self.model)]


def _start_on(port: int, start: _Start) -> Server:
    """One try on one port. Until it answers the server is ours, and ends with us; then it is recorded, and may stay."""
    server_id = f"{start.engine if '/' not in start.engine else 'python'}-{uuid.uuid4().hex[:6]}"
    folder = kept.private_folder(_servers_dir())
    _forget_logs(folder)
    log_file = folder / f"{server_id}.log"
    command = [str(start.python), *start.program]
    command += ["--served-model-name", start.name, "--host", HOST, "--port", str(port), *BASE_FLAGS, *start.flags]
    command += ["--trust-remote-code"] if start.trusts_code else []
    shown = " ".join([*(f"{k}={v}" for k, v in own_variables(start.engine).items()), shlex.join(command)])
    with _forked(start, command) as (watched, files):
        process = subprocess.Popen(
            [sys.executable, str(Path(supervisor.__file__)), str(log_file), *watched],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(start.engine),
            start_new_session=True,
            pass_fds=files,
        )
    assert process.stdin is not None and process.stdout is not None
    _pipes[server_id] = process.stdin
    server = Server(
        server_id=server_id,
        engine=start.engine,
        model=str(start.model),
        base_url=f"http://{HOST}:{port}/v1",
        supervisor_pid=process.pid,
        supervisor_started=psutil.Process(process.pid).create_time(),
        server_pid=0,
        log=str(log_file),
        command=shown,
        flags=tuple(start.flags),
    )
    try:
        with process.stdout as said:
            server = replace(server, server_pid=int(said.readline() or 0))
        _wait_ready(server, process, start.ready_timeout_s, start.cancel)
        check_listening(server.engine, server.server_pid)
        kept.write_whole(server.record, json.dumps(asdict(server), indent=2), private=True)
    except BaseException:
        stop(server)
        raise
    return server


def keep(server: Server) -> None:
    """Have a server that this process started outlive it."""
    pipe = _pipes.pop(server.server_id)
    with contextlib.suppress(OSError), pipe:
        pipe.write(supervisor.KEEP)


@contextlib.contextmanager
def _forked(start: _Start, command: list[str]) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """What a supervisor is to watch, with the files that it inherits: a fork where one was asked for and can be had."""
    try:
        fork = warm.fork(start.python, command[1:], environment(start.engine), start.cancel) if start.fork else None
    except warm.Refused as why:
        log.info("%s: starting an interpreter of its own: %s", start.engine, why)
        fork = None
    if fork is None:
        yield command, ()
        return
    with fork.connection as connection:
        yield [supervisor.FORKED, str(fork.pid), str(connection.fileno())], (connection.fileno(),)


def _recorded(path: Path) -> Server | None:
    """The server of a record; ``None`` where the file is not one of ours, or stands under another's name."""
    data = smallrecords.read(path, {field.name: str(field.type) for field in fields(Server)}, {"flags": []})
    return Server(**{**data, "flags": tuple(data["flags"])}) if data and data["server_id"] == path.stem else None


def _forget_logs(folder: Path) -> None:
    """Remove logs of servers that have ended: those that are old, and the oldest of many."""
    live = {server.log for server in running()}
    with contextlib.suppress(OSError):
        ended = sorted(
            ((path.stat().st_mtime, path) for path in folder.glob("*.log") if str(path) not in live), reverse=True
        )
        for number, (written, path) in enumerate(ended):
            if (number >= LOGS_KEPT and time.time() - written > READY_TIMEOUT_S) or time.time() - written > LOGS_KEPT_S:
                path.unlink(missing_ok=True)


def _is_healthy(port: int) -> bool:
    """Whether ``/health`` is answered with 200: the first bytes tell, and somebody else's server may send any."""
    ends = time.monotonic() + HEALTH_TIMEOUT_S
    said = b""
    try:
        with socket.create_connection((HOST, port), HEALTH_TIMEOUT_S) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\nhost: %s:%d\r\n\r\n" % (HOST.encode(), port))
            while len(said) < HEAD_BYTES and (left_s := ends - time.monotonic()) > 0:
                connection.settimeout(left_s)
                part = connection.recv(HEAD_BYTES)
                if not part:
                    break
                said += part
    except OSError:
        return False
    return HEALTHY.match(said) is not None


def _wait_ready(server: Server, process: subprocess.Popen[bytes], timeout_s: float, cancel: Event) -> None:
    deadline = time.monotonic() + timeout_s
    port = urlsplit(server.base_url).port
    assert port is not None
    while True:
        if process.poll() is not None:
            raise _failed(server, "ended before it was ready")
        if _is_healthy(port) and process.poll() is None:
            return
        if time.monotonic() > deadline:
            raise _failed(server, f"was not ready within {timeout_s:.0f} s")
        if cancel.wait(POLL_S):
            raise EngineError(f"the start of engine {server.engine} was given up")


def _failed(server: Server, what: str) -> EngineError:
    lines = server.log_tail()
    if NO_RENDERER in lines:
        return EngineError(
            f"vLLM {server.engine} has no renderer without a model: name a later release, such as 0.32.0"
        )
    kind = _PortTaken if "ddress already in use" in lines else EngineError
    return kind(f"engine {server.engine} {what}; the end of its log:\n{lines}\nto repeat: {server.command}")


def _check_port(port: int) -> None:
    if not 0 < port < 65536:
        raise EngineError(f"port {port} is not between 1 and 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            cause = (error.strerror or str(error)).lower()
            raise EngineError(
                f"port {port} on {HOST} cannot be used: {cause}; leave --port out for a free one"
            ) from None


def _process(pid: int, started: float) -> psutil.Process | None:
    """The live process with this number and start time."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, ValueError, OverflowError):  # also a number that is none of a process
        return None


def _servers_dir() -> Path:
    return paths.cache_dir() / "servers"
