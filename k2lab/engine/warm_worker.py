"""Import an engine once, and fork what is asked for: ``python warm_worker.py ADDRESS MODULE...``.

Run by an engine's interpreter, by path; it needs nothing of k2lab. It listens on the abstract socket ADDRESS, imports
each MODULE that this release has, and answers requests from processes of the same user until standard input closes
(the pipe of its owner) or nobody has asked for a while.

A request is a line of JSON: ``{"argv", "cwd", "environment"}``, ``argv`` being what follows the interpreter on a
command line: ``-m MODULE ...`` or ``SCRIPT ...``. The answer is a line: the number of a fork of this process, which
leads a session of its own and runs what was asked for once it is sent a byte and three open files, its standard ones;
without, it ends. ``0`` and a reason mean that nothing was forked. The fork keeps the connection open as long as it
lives, and its process group is asked to end (SIGTERM) when the other end closes.

A fork has what an interpreter of its own would have after the same imports: the process that forks has one thread, and
the environments agree. What the imports printed is printed again, to standard error, by each.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import importlib
import json
import multiprocessing.util
import os
import runpy
import select
import signal
import socket
import struct
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

IDLE_S = 600.0
REQUEST_TIMEOUT_S = 5.0
MAX_REQUEST_BYTES = 1 << 20
OWNER_ALONE = 0o077

SAID_BY_OTHERS = (
    "COLUMNS", "LINES", "PWD", "OLDPWD", "SHLVL", "TERM", "_", "PAGER", "GIT_PAGER", "CLICOLOR", "CLICOLOR_FORCE",
    "MPLBACKEND", "PYDEVD_USE_FRAME_EVAL", "FORCE_COLOR", "RAY_CLIENT_MODE",
)  # fmt: skip
"""Variables of terminals, of notebooks' kernels, and one that Ray sets as it is imported; names that begin so are of
kernels or of test runners:"""
SAID_BY_OTHERS_BEGIN = ("JPY_", "JUPYTER_", "PYTEST_")

SAFE_PATH = getattr(sys.flags, "safe_path", False)

Job = Callable[[], object]


@dataclass(frozen=True)
class Request:
    """What is to be run, and on which connection it was asked for."""

    argv: Sequence[str]
    cwd: str
    environment: Mapping[str, str]
    connection: socket.socket


def warm_up(modules: Sequence[str]) -> bytes:
    """Import what is there of them; what that printed."""
    said = os.memfd_create("said")
    os.dup2(said, 1)
    os.dup2(said, 2)
    for name in modules:
        with contextlib.suppress(Exception):  # a server meets it again, and its log shows it
            importlib.import_module(name)
    sys.modules.pop(modules[0], None)  # it will be run as __main__
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    gc.freeze()  # forks share the memory of what no collection touches
    return os.pread(said, os.fstat(said).st_size, 0)


def serve(listener: socket.socket, before: Mapping[str, str], said: bytes) -> Job | None:
    """Fork for each request; in a fork, come back with what it has to do."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then keeps no zombies
    while True:
        ready = select.select([0, listener.fileno()], [], [], IDLE_S)[0]
        if not ready or (0 in ready and not os.read(0, 1)):
            return None
        if listener.fileno() not in ready:
            continue
        connection, _ = listener.accept()
        try:
            request = read_request(connection)
            reason = refusal(request, before)
            if reason:
                connection.sendall(f"0 {reason}\n".encode())
            elif os.fork() == 0:
                listener.close()
                return functools.partial(be, request, changed(before), said)
        except (OSError, ValueError, TypeError):
            pass  # whoever asked starts an interpreter
        connection.close()


def read_request(connection: socket.socket) -> Request:
    """The request; ``ValueError`` if it is none, or comes from another user."""
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if user != os.getuid():
        raise ValueError("another user asks")
    connection.settimeout(REQUEST_TIMEOUT_S)
    text = b""
    while not text.endswith(b"\n") and len(text) < MAX_REQUEST_BYTES and (more := connection.recv(MAX_REQUEST_BYTES)):
        text += more
    connection.settimeout(None)
    return Request(**json.loads(text), connection=connection)


def refusal(request: Request, before: Mapping[str, str]) -> str:
    """Why a fork would not be what an interpreter of its own is; empty where it would be."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"{threads} threads run"
    names = {*request.environment, *before}
    differ = [name for name in sorted(names) if request.environment.get(name) != before.get(name) and is_read(name)]
    return f"{', '.join(differ)} had another value when the engine was imported" if differ else ""


def is_read(name: str) -> bool:
    """Whether an engine may read the variable as it is imported."""
    return name not in SAID_BY_OTHERS and not name.startswith(SAID_BY_OTHERS_BEGIN)


def changed(before: Mapping[str, str]) -> dict[str, str]:
    """Variables that the imports set."""
    return {name: value for name, value in os.environ.items() if before.get(name) != value}


def be(request: Request, by_imports: Mapping[str, str], said: bytes) -> None:
    """In a fork: be the process that was asked for, as soon as somebody watches it."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lifeline = wait_for_go(request.connection)
    os.write(2, said)
    os.chdir(request.cwd)
    set_environment({**request.environment, **by_imports})
    name_process([sys.executable, *request.argv])
    if request.argv[0] != "-m":
        run_script(request.argv)
    elif not is_core(lifeline):
        run_module(request.argv[1], request.argv[2:])


def wait_for_go(connection: socket.socket) -> int:
    """Be given the standard files by whoever watches this process; what is left of the connection, for its lifetime."""
    connection.sendall(f"{os.getpid()}\n".encode())
    go, files, _, _ = socket.recv_fds(connection, 1, 3)
    lifeline = connection.detach()  # the kernel closes it, with the process
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())  # the group that it leads
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if not go or select.select([lifeline], [], [], 0)[0]:
        os._exit(0)
    number_files(files, (0, 1, 2))
    return lifeline


def run_module(module: str, argv: Sequence[str]) -> None:
    """As ``python -m`` does."""
    if not SAFE_PATH:
        sys.path.insert(0, os.getcwd())
    sys.argv[:] = [module, *argv]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def run_script(argv: Sequence[str]) -> None:
    """As ``python SCRIPT`` does."""
    if not SAFE_PATH:
        sys.path.insert(0, os.path.dirname(argv[0]))
    sys.argv[:] = argv
    runpy.run_path(argv[0], run_name="__main__")


def is_core(lifeline: int) -> bool:
    """Fork, while there is one thread, the interpreter that multiprocessing will start for the engine's core.

    It takes the place of a new interpreter the first time that one is to be
    spawned: it is told all that the other would be given (code, open files and
    environment) and is a child of this process, too. A second one is new. True
    in the fork, when it has been and done that.
    """
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        os.close(lifeline)
        run_as_spawned(theirs)
        return True
    theirs.close()
    use_once(child, ours)
    return False


def use_once(child: int, channel: socket.socket) -> None:
    """Let multiprocessing's next start of an interpreter be the use of this child."""
    waiting = [child]
    util: Any = multiprocessing.util
    spawn = util.spawnv_passfds

    def spawn_or_use(path: Any, args: Sequence[Any], files: Sequence[int]) -> int:
        if waiting and os.fsdecode(path) == sys.executable and args[-1] == "--multiprocessing-fork":
            process = waiting.pop()
            asked = {"code": args[-2], "numbers": [int(file) for file in files], "environment": dict(os.environ)}
            with contextlib.suppress(OSError), channel:
                socket.send_fds(channel, [json.dumps(asked).encode()], asked["numbers"])
                return process
        return int(spawn(path, args, files))

    util.spawnv_passfds = spawn_or_use


def run_as_spawned(channel: socket.socket) -> None:
    """Wait to be used, then do what ``python -c CODE --multiprocessing-fork`` does."""
    text, files, _, _ = socket.recv_fds(channel, MAX_REQUEST_BYTES, 64)
    while text and (more := channel.recv(MAX_REQUEST_BYTES)):
        text += more
    channel.close()
    if not text:
        os._exit(0)
    asked = json.loads(text)
    number_files(files, asked["numbers"])
    set_environment(asked["environment"])
    sys.argv[:] = ["-c", "--multiprocessing-fork"]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(asked["code"], main.__dict__)


def number_files(files: Sequence[int], numbers: Sequence[int]) -> None:
    """Give open files the numbers that they are known by."""
    free = max([*files, *numbers]) + 1
    aside = [fcntl.fcntl(file, fcntl.F_DUPFD, free) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(aside, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)


def set_environment(variables: Mapping[str, str]) -> None:
    """Make these, and no others, the environment."""
    for name in {*os.environ} - {*variables}:
        del os.environ[name]
    os.environ.update(variables)


def name_process(command: Sequence[str]) -> None:
    """Let process lists show the command, where the engine brings what can do so."""
    with contextlib.suppress(ImportError):
        importlib.import_module("setproctitle").setproctitle(" ".join(command))


def main(address: str, modules: Sequence[str]) -> Job | None:
    """Listen, import and serve; in a fork, what it has to do."""
    before = dict(os.environ)
    os.umask(OWNER_ALONE)
    if not SAFE_PATH:
        del sys.path[0]  # the folder of this file
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind("\0" + address)
    except OSError:
        return None  # there is one already
    listener.listen(64)
    return serve(listener, before, warm_up(modules))


if __name__ == "__main__":
    job = main(sys.argv[1], sys.argv[2:])
    if job is not None:
        job()
