"""Servers of k2-nano as tests ask for them, in a process of its own that ends with its standard input.

A file ``NAME.wanted`` in the folder that is its first argument asks for a server; ``NAME.url`` or, where it did not
start, ``NAME.error`` answers. They start in the order in which they were asked for. The other arguments are servers
that many tests will want: their engines are imported at once, and with the first that is asked for they all start. So
none of them idles, which takes an eightieth of a core, while tests run that need none.
"""

import contextlib
import logging
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from pathlib import Path

from k2lab import engine
from k2lab.engine import warm
from k2lab.engine.variables import environment
from k2lab.errors import K2LabError
from k2lab.notebook.fleet import Fleet

POLL_S = 0.1


def serve(folder: Path, usual: Sequence[str], ended: threading.Event) -> None:
    begun = set[str]()
    with Fleet() as fleet:
        import_engines(usual)
        while not ended.wait(POLL_S):
            asked = [path.stem for path in sorted(folder.glob("*.wanted"), key=lambda path: path.stat().st_mtime_ns)]
            for name in [*asked, *(usual if asked else ())]:
                if name not in begun:
                    begun.add(name)
                    fleet.begin([name])
                    threading.Thread(target=answer, args=(fleet, folder, name), daemon=True).start()


def import_engines(names: Sequence[str]) -> None:
    for version in dict.fromkeys(name.split()[0] for name in names):
        with contextlib.suppress(K2LabError):  # the test that asks for its server is told
            warm.ready(engine.resolve(version).python, environment(version))


def answer(fleet: Fleet, folder: Path, name: str) -> None:
    with contextlib.suppress(CancelledError):
        try:
            write(folder / f"{name}.url", fleet.urls([name])[name])
        except K2LabError as error:
            write(folder / f"{name}.error", str(error))


def write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.rename(path)


def end_with_input(ended: threading.Event) -> None:
    sys.stdin.buffer.read()
    ended.set()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    ended = threading.Event()
    threading.Thread(target=end_with_input, args=(ended,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C goes to all processes of a terminal
        serve(Path(sys.argv[1]), sys.argv[2:], ended)
