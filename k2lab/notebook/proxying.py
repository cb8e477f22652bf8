"""A proxy for the length of a cell: `k2lab proxy` in a process of its own, which ends with the block or the kernel."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from k2lab.engine import child
from k2lab.errors import EngineError
from k2lab.server.endpoint import Endpoint

LISTENS = re.compile(r"k2lab: (http://\S+) passes on to ")


@contextmanager
def proxied(upstream: Endpoint, *options: str, record: str | Path = "") -> Iterator[Endpoint]:
    """The same server, asked through a proxy with these options of `k2lab proxy`; ``record`` keeps what passes.

    At the end of the block the proxy lets open answers finish, writes its record
    whole, and ends; so it does where the kernel dies. Raises
    :class:`~k2lab.errors.EngineError` with its last lines where it does not start.
    """
    kept = ["--record", str(record)] if record else []
    command = [sys.executable, "-P", "-m", "k2lab", "--quiet", "proxy", "--listen", "127.0.0.1:0"]
    lines = child.lines_of([*command, "--upstream", upstream.base_url, *options, *kept], "k2lab proxy did not start")
    with closing(lines):  # type: ignore[type-var]
        found = next((match for line in lines if (match := LISTENS.match(line))), None)
        if found is None:
            raise EngineError("k2lab proxy ended before it listened")
        yield Endpoint(f"{found[1]}/v1", upstream.model, timeout_s=upstream.timeout_s)
