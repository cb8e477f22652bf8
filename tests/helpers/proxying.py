"""A real proxy in a test: in the test's own event loop, or as the process that a user starts."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from k2lab.traffic.lifecycle import Place, Running, Setting, serving
from k2lab.traffic.limits import Limits
from tests.conftest import ROOT

ANY = Place(host="127.0.0.1", port=0)


@contextlib.asynccontextmanager
async def proxy(
    upstream: str, *, guard: Any = None, recorder: Any = None, limits: Limits | None = None, **setting: Any
) -> AsyncIterator[Running]:
    """A proxy in this event loop: ``running.url`` has no path, ``running.proxy`` is the proxy.

    ``setting`` is what :class:`~k2lab.traffic.lifecycle.Setting` takes. What is open at the end of the block has 5 s.
    """
    made = Setting(upstream=upstream, listen=ANY, limits=limits or Limits(grace_s=5.0), **setting)
    async with serving(made, guard=guard, recorder=recorder) as running:
        yield running


@dataclass(kw_only=True)
class Process:
    """``k2lab proxy`` as a user starts it; ``told`` is what it wrote on standard error so far."""

    process: subprocess.Popen[bytes]
    url: str
    told: list[str]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, within_s: float = 20.0) -> int:
        """Its exit status."""
        return self.process.wait(within_s)


def _limit_files(most: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


@contextlib.contextmanager
def proxy_process(
    upstream: str, *options: object, env: dict[str, str] | None = None, file_bytes: int | None = None
) -> Iterator[Process]:
    """A process of its own, on a free port, killed at the end of the block where it still runs.

    ``file_bytes`` is the most that a file of its may have, as on a disk that is full.
    """
    command = [sys.executable, "-m", "k2lab", "proxy", "--upstream", upstream, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, *map(str, options)], cwd=ROOT, stderr=subprocess.PIPE, env={**os.environ, **(env or {})},
        start_new_session=True, preexec_fn=partial(_limit_files, file_bytes) if file_bytes else None,
    ) as process:  # fmt: skip
        told: list[str] = []
        url = ""
        assert process.stderr is not None
        for line in process.stderr:
            told.append(line.decode())
            if found := re.match(r"k2lab: (http://\S+) passes on to", told[-1]):
                url = found[1]
                break
        assert url, f"no proxy: {told}"
        threading.Thread(target=lambda: told.extend(line.decode() for line in process.stderr), daemon=True).start()
        try:
            yield Process(process=process, url=url, told=told)
        finally:
            process.kill()
