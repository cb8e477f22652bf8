"""What a value was and what it is now, as a diff: lines that go and come, and within a line that changed its words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from k2lab.legible import shortened, visible
from k2lab.prompt.editscript import Block, equal_runs
from k2lab.show.parts import View, escape
from k2lab.show.trees import leaf

CONTEXT = 3
"""Equal lines around what differs."""

MOST_LINES = 400
"""Lines of a diff; what would come after them is counted."""

LONGEST = 200_000
"""Characters of a value."""

LONGEST_EQUAL, LONGEST_RUN, MOST_RUNS = 200, 4000, 120
"""Characters of a line's equal run and of one that differs, and runs of a line that is compared word by word."""

WORD = re.compile(r"\w+|\s+|[^\w\s]")
NOTHING = "no value (null, or not there)"
EMPTY = "'' (an empty text)"
HTML_SIGNS = {"-": ("\N{MINUS SIGN}", "k2-gone", "del"), "+": ("+", "k2-come", "ins"), " ": (" ", "k2-kept", "span")}


class Run(NamedTuple):
    """A part of a line, and whether it is on this side alone."""

    differs: bool
    text: str


class Line(NamedTuple):
    """A line with its sign: gone ``-``, come ``+``, kept a space, ``⋮`` for lines that are left out."""

    sign: str
    runs: Sequence[Run]


def difference(before: object, after: object) -> View:
    """A value before and after, as a unified diff: texts line by line, anything else as JSON writes it."""
    both = isinstance(before, str) and isinstance(after, str)
    lines = list(_lines(_written(before, as_text=both), _written(after, as_text=both)))
    shown = lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        shown.append(Line("⋮", [Run(False, f"{len(lines) - MOST_LINES} more lines are left out")]))
    return View(
        html=f'<div class="k2-diff">{"".join(map(_html, shown))}</div>',
        text="\n".join(f"{line.sign} {visible(''.join(run.text for run in line.runs))}" for line in shown),
    )


def _written(value: object, *, as_text: bool) -> list[str]:
    if value is None:
        return [NOTHING]
    if as_text:
        return shortened(str(value), LONGEST).split("\n") if value else [EMPTY]
    try:
        said = json.dumps(value, ensure_ascii=False, indent=1)
    except (TypeError, ValueError, RecursionError):
        said = leaf(value)
    return shortened(said, LONGEST).split("\n")


def _lines(left: Sequence[str], right: Sequence[str]) -> Iterator[Line]:
    ends = len(left), len(right)
    x = y = 0
    for block in [*equal_runs(left, right), Block(*ends, 0)]:
        yield from _changed(left[x : block.left], right[y : block.right])
        x, y = block.left + block.length, block.right + block.length
        head = 0 if (block.left, block.right) == (0, 0) else CONTEXT
        yield from _kept(left[block.left : x], head, 0 if (x, y) == ends else CONTEXT)


def _kept(lines: Sequence[str], head: int, tail: int) -> Iterator[Line]:
    """Equal lines, of many those next to what differs."""
    left_out = len(lines) - head - tail
    if left_out <= 1:
        head, left_out = len(lines), 0
    yield from (_whole(" ", line) for line in lines[:head])
    if left_out:
        yield Line("⋮", [Run(False, f"{left_out} equal lines")])
        yield from (_whole(" ", line) for line in lines[head + left_out :])


def _changed(gone: Sequence[str], come: Sequence[str]) -> Iterator[Line]:
    """Lines of one side alone; those that stand beside each other are compared word by word."""
    pairs = [_by_words(*pair) for pair in zip(gone[:MOST_LINES], come, strict=False)]
    yield from (Line("-", left) for left, _ in pairs)
    yield from (_whole("-", line) for line in gone[len(pairs) :])
    yield from (Line("+", right) for _, right in pairs)
    yield from (_whole("+", line) for line in come[len(pairs) :])


def _by_words(left: str, right: str) -> tuple[Sequence[Run], Sequence[Run]]:
    """Two lines as runs that are equal or differ; lines that have next to nothing in common differ as a whole."""
    words = WORD.findall(left), WORD.findall(right)
    blocks = [*equal_runs(*words), Block(len(words[0]), len(words[1]), 0)]
    made: tuple[list[Run], list[Run]] = ([], [])
    places = [0, 0]
    for block in blocks:
        kept = "".join(words[0][block.left : block.left + block.length])
        for side, start in enumerate((block.left, block.right)):
            differs = "".join(words[side][places[side] : start])
            made[side].extend([Run(True, shortened(differs, LONGEST_RUN))] if differs else [])
            made[side].extend([Run(False, shortened(kept, LONGEST_EQUAL))] if kept else [])
            places[side] = start + block.length
    common = sum(len(run.text) for run in made[0] if not run.differs and not run.text.isspace())
    if len(blocks) > MOST_RUNS or 4 * common < min(len(left), len(right), 4 * LONGEST_EQUAL):
        return _whole("-", left).runs, _whole("+", right).runs
    return made


def _whole(sign: str, line: str) -> Line:
    return Line(sign, [Run(False, shortened(line, LONGEST_RUN))])


def _html(line: Line) -> str:
    if line.sign not in HTML_SIGNS:
        return f'<div class="quiet">⋮ {escape(line.runs[0].text)}</div>'
    sign, css, name = HTML_SIGNS[line.sign]
    said = "".join(f"<{name}>{escape(run.text)}</{name}>" if run.differs else escape(run.text) for run in line.runs)
    return f'<div class="{css}"><b>{sign}</b> {said}</div>'
