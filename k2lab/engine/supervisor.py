"""Watch one server process: ``python supervisor.py LOG COMMAND...``.

In place of a command, ``forked PID FD`` is a process that a warm process forked
and the open connection to it (:mod:`k2lab.engine.warm_worker`).

The server runs in a process group of its own, and its process number is the
line that is written to standard output. The group is ended when this process is
asked to end, when the server itself exits, or when standard input closes: that
is the pipe of the parent, which the kernel closes however the parent dies. A
line on it, ``keep``, says that the server is to outlive its parent. With ``-``
in place of a log any command is watched so, and writes to standard output.
Standard library only; it is run by path, in seconds of start-up that nobody waits for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from types import FrameType

GRACE_S = 10.0
FORKED = "forked"
NO_LOG = "-"
KEEP = b"keep\n"
OWNER_ALONE = 0o077
SET_DEATH_SIGNAL = 1
"""``PR_SET_PDEATHSIG`` of Linux."""


class Forked:
    """A server that is no child of ours: it waits for its standard files, and closes its connection as it dies."""

    def __init__(self, pid: int, connection: socket.socket, out: int) -> None:
        self.pid = pid
        self._connection = connection
        with open(os.devnull, "rb") as nothing, contextlib.suppress(OSError):  # it may have died
            socket.send_fds(connection, [b"\n"], [nothing.fileno(), out, out])

    def poll(self) -> int | None:
        """One once it has ended, whatever its status was: that is its parent's to know."""
        return 1 if select.select([self._connection], [], [], 0)[0] else None

    def wait(self) -> int:
        """Wait until it has ended."""
        select.select([self._connection], [], [])
        return 1


Process = subprocess.Popen[bytes] | Forked


def begun(command: list[str], out: int) -> Process:
    """The server, started or forked before, which writes to ``out``."""
    if command[0] == FORKED:
        return Forked(int(command[1]), socket.socket(fileno=int(command[2])), out)
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=end_with_supervisor,
    )


def end_with_supervisor() -> None:
    """Have the kernel end this process when the supervisor is killed, where it is Linux's."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGTERM)


def opened(log: str) -> int:
    """The new log, which its owner alone reads, as all else that the server will write."""
    os.umask(OWNER_ALONE)
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW, 0o600)


def tell(number: int, stop: threading.Event) -> None:
    """Say the server's number to the parent; where nobody is there any more, it is to end."""
    try:
        os.write(1, b"%d\n" % number)
    except OSError:
        stop.set()


def group_alive(group: int) -> bool:
    """Whether any process of the group still runs.

    An orphan that has ended stays in its group until the machine's first process asks about it, which takes
    seconds on some machines, and in a container without an init for ever.
    """
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return sys.platform != "linux" or any(runs_in(group, name) for name in os.listdir("/proc") if name.isdigit())


def runs_in(group: int, pid: str) -> bool:
    """Whether a process is in the group and has not ended, by ``/proc/PID/stat`` of proc(5)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, _, its_group = file.read().rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return False
    return int(its_group) == group and state not in (b"Z", b"X")


def end_group(group: int, server: Process) -> None:
    """Ask the group to end, and after a while make it."""
    for what in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, what)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline:
            server.poll()
            if not group_alive(group):
                return
            time.sleep(0.05)


def main(log: str, command: list[str]) -> int:
    """Run the server to its end, or to ours; its exit status, 128 and the signal's number where it was ended."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, on_signal)
    out = 1 if log == NO_LOG else opened(log)
    server = begun(command, out)
    if log != NO_LOG:
        os.close(out)
        tell(server.pid, stop)

    def on_parent_gone() -> None:
        if sys.stdin.buffer.readline() != KEEP:
            stop.set()

    threading.Thread(target=on_parent_gone, daemon=True).start()
    while server.poll() is None and not stop.wait(0.2):
        pass
    end_group(server.pid, server)
    code = server.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    status = main(sys.argv[1], sys.argv[2:])
    os._exit(status)  # the reading thread may still wait for a pipe
