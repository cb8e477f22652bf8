"""Watch one server process: ``python supervisor.py LOG PID_FILE WATCH COMMAND...``.

In place of a command, ``forked PID FD`` is a process that a warm process forked
and the open connection to it (:mod:`k2lab.engine.warm_worker`).

The server runs in a process group of its own. The group is ended when this
process is asked to end, when the server itself exits, or, with ``WATCH`` equal
to ``parent``, when standard input closes: that is the pipe of the parent, which
the kernel closes however the parent dies. Standard library only; it is run by
path, in seconds of start-up that nobody waits for.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

GRACE_S = 10.0
FORKED = "forked"


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
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
    )


def group_alive(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


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


def main(log: str, pid_file: str, watch: str, command: list[str]) -> int:
    """Run the server to its end, or to ours."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    os.umask(0o077)  # the log, and all that the server writes, is its owner's alone
    with open(log, "ab") as out:
        server = begun(command, out.fileno())
    fresh = Path(pid_file + ".tmp")
    fresh.write_text(str(server.pid))
    fresh.replace(pid_file)

    def on_parent_gone() -> None:
        sys.stdin.buffer.read()
        stop.set()

    if watch == "parent":
        threading.Thread(target=on_parent_gone, daemon=True).start()
    while server.poll() is None and not stop.wait(0.2):
        pass
    end_group(server.pid, server)
    code = server.wait()
    return code if 0 <= code < 256 else 1


if __name__ == "__main__":
    status = main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
    os._exit(status)  # the reading thread may still wait for a pipe
