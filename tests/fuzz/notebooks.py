"""Notebooks, the parameters that are given for them, and the summary of an earlier report, each damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from unittest import mock

from tests.fuzz import _damage
from tests.fuzz._commands import Ran, run, written
from tests.fuzz.frame import Attempt

KEPT = range(150)

PARAMETERS = (
    "requests = 4000\nseed = 1\nout = ''\nratio = 0.5\nflag = True\nservers = {}\nnames = ['a']\nnothing = None\n"
)
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# A title\n", "and a text"]},
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {"tags": ["parameters"]},
            "source": PARAMETERS.splitlines(keepends=True),
            "execution_count": None,
            "outputs": [],
        },
        {
            "cell_type": "code",
            "id": "c",
            "metadata": {"tags": ["local-engines"]},
            "source": "1 + 1",
            "execution_count": 1,
            "outputs": [
                {
                    "output_type": "execute_result",
                    "execution_count": 1,
                    "metadata": {},
                    "data": {"text/plain": "2", "application/vnd.k2lab.result+json": {"json": "{}"}},
                },
                {"output_type": "stream", "name": "stdout", "text": ["a\n"]},
            ],
        },
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
OLDER = {
    "nbformat": 3,
    "nbformat_minor": 0,
    "metadata": {"name": "x"},
    "worksheets": [{"cells": [{"cell_type": "code", "input": ["1"], "outputs": [], "language": "python"}]}],
}
SUMMARY = {
    "k2lab": "0.2.0",
    "reports": {"file": {"status": "passed", "seconds": 1.0, "waited_s": 0.5, "parameters": {"requests": 4000}}},
}
TEXTS = ("4000", "", "x", "-1", "1e400", "true", "{}", "[]", '{"x": 1}', '{"x": ""}', '{"current": "http://x/v1"}',
         "NaN", "\udcff", "\x1b[2J", "[" * 5000, "9" * 5000, "a" * 100_000)  # fmt: skip

CELLS = ("a = b", "import os", "a = 10 ** 10 ** 9", "a =", "\x00", "(" * 5000, "-" * 5000 + "1", "a = {[]: 1}",
         "servers = 1", "servers = {1: 2}", "servers = {'x': ''}", "a = b = 1", "a: int = 1", "9" * 5000,
         "a = " + "[" * 90 + "]" * 90, "a = b'\\xff'", "a = 1 +", "# -*- coding: x -*-")  # fmt: skip


@contextmanager
def opened(place: Path) -> Iterator[Attempt]:
    """Nothing more than the folders of a try."""
    yield tried


def tried(random: Random, folder: Path) -> None:
    """One command of all; no notebook is run, as a parameter that none has is given for each."""
    ran = random.choice(CASES)(random, folder).checked()
    list(written(folder))
    assert not (folder / "reports").exists() or not list((folder / "reports").glob("*.html")), "a report of nothing"
    if ran.code == 1:
        lines = [line for line in ran.err.splitlines() if "it is written anew" not in line]
        assert len(lines) == 1 and lines[0].startswith("k2lab: "), ran.err


def _notebook(random: Random, folder: Path) -> Path:
    """A folder with one damaged notebook of a plain name."""
    place = folder / "notebooks"
    place.mkdir()
    path = place / "file.ipynb"
    data = _damage.document(random, random.choice((NOTEBOOK, NOTEBOOK, NOTEBOOK, OLDER)))
    if random.random() < 0.12:
        _damage.INSTEAD[random.choice(sorted(_damage.INSTEAD))](path)
    else:
        path.write_bytes(data)
    return place


def _read(random: Random, folder: Path) -> Ran:
    names = random.choice(((), ("file",), ("file.ipynb",)))
    place = _notebook(random, folder)
    ran = run("report", *names, "--notebooks", place, "--out", folder / "reports", "-p", "no_such", "1")
    assert ran.code == 1, ran
    return ran


def _listed(random: Random, folder: Path) -> Ran:
    with mock.patch.dict("os.environ", {"K2LAB_NOTEBOOKS": str(_notebook(random, folder))}):
        return run(*random.choice((("notebooks",), ("notebooks", folder / "copies"))))


def _given(random: Random, folder: Path) -> Ran:
    place = folder / "notebooks"
    place.mkdir()
    (place / "file.ipynb").write_text(json.dumps(NOTEBOOK))
    name = random.choice(
        ("requests", "seed", "out", "ratio", "flag", "servers", "names", "nothing", "file.seed", "x.y", ".")
    )
    words = ("-p", name, random.choice(TEXTS), "-p", "no_such", "1")
    return run("report", "--notebooks", place, "--out", folder / "reports", *words)


def _parameters(random: Random, folder: Path) -> Ran:
    """A cell of parameters that is other Python, or none."""
    cell = random.choice(CELLS)
    place = folder / "notebooks"
    place.mkdir()
    made = json.loads(json.dumps(NOTEBOOK))
    made["cells"][1]["source"] = cell
    (place / "file.ipynb").write_text(json.dumps(made))
    return run("report", "--notebooks", place, "--out", folder / "reports", "-p", "no_such", "1")


def _summary(random: Random, folder: Path) -> Ran:
    """What an earlier report left; the notebook that is asked for is not there."""
    from k2lab.notebook import summary

    out = folder / "reports"
    out.mkdir()
    path = out / "summary.json"
    if random.random() < 0.12:
        _damage.INSTEAD[random.choice(sorted(_damage.INSTEAD))](path)
    else:
        path.write_bytes(_damage.document(random, SUMMARY))
    with mock.patch.object(summary.logger, "warning"):
        summary.usual_seconds(path, {"file": {"requests": 4000}})
    return run("report", "none", "--notebooks", folder, "--out", out)


CASES: tuple[Callable[[Random, Path], Ran], ...] = (_read, _read, _listed, _given, _parameters, _summary)
