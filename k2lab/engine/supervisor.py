"""Watch one server process: ``python supervisor.py LOG PID_FILE WATCH COMMAND...``.

The server runs in a process group of its own. The group is ended when this
process is asked to end, when the server itself exits, or, with ``WATCH`` equal
to ``parent``, when standard input closes: that is the pipe of the parent, which
the kernel closes however the parent dies. Standard library only; it is run by
path, in seconds of start-up that nobody waits for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

GRACE_S = 10.0


def group_alive(group: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def end_group(group: int, server: subprocess.Popen[bytes]) -> None:
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
    with open(log, "ab") as out:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
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
