"""Servers of k2-nano as tests ask for them, in a process of its own that ends with its standard input.

A file ``NAME.wanted`` in the folder that is its argument asks for a server; ``NAME.url`` or, where it did not start,
``NAME.error`` answers. They start in the order in which they were asked for.
"""

import contextlib
import logging
import sys
import threading
from concurrent.futures import CancelledError
from pathlib import Path

from k2lab.errors import K2LabError
from k2lab.notebook.fleet import Fleet

POLL_S = 0.1


def serve(folder: Path, ended: threading.Event) -> None:
    asked = set[Path]()
    with Fleet() as fleet:
        while not ended.wait(POLL_S):
            for wanted in sorted({*folder.glob("*.wanted")} - asked, key=lambda path: path.stat().st_mtime_ns):
                asked.add(wanted)
                fleet.begin([wanted.stem])
                threading.Thread(target=answer, args=(fleet, wanted), daemon=True).start()


def answer(fleet: Fleet, wanted: Path) -> None:
    name = wanted.stem
    with contextlib.suppress(CancelledError):
        try:
            write(wanted.with_suffix(".url"), fleet.urls([name])[name])
        except K2LabError as error:
            write(wanted.with_suffix(".error"), str(error))


def write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
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
        serve(Path(sys.argv[1]), ended)
