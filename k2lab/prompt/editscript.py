"""What two long sequences of ids have in common: runs that are equal, in order, found fast where little differs."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from rapidfuzz.distance import Indel

WIDTH = 4
"""Bytes of a number that stands for an id."""

SMALL, LARGE = 4_000_000, 400_000_000
"""Cells of the table of two lengths that is filled outright, and that is filled where nothing else helps (50 MB)."""

MOST_EDITS, MOST_IN_GAP = 400, 100
"""Ids that stand on one side only, up to which a shortest script is sought: its costs grow with their square."""

ANCHOR = 8
"""Ids of a run that stands once on each side, by which two sides that differ in more are laid beside each other."""


class Block(NamedTuple):
    """``length`` ids that are equal, from ``left`` and ``right`` on."""

    left: int
    right: int
    length: int


class Box(NamedTuple):
    """A stretch of both sides: ``[left, left_end)`` beside ``[right, right_end)``."""

    left: int
    left_end: int
    right: int
    right_end: int

    @property
    def area(self) -> int:
        """Pairs of places."""
        return (self.left_end - self.left) * (self.right_end - self.right)


def equal_runs(left: Sequence[Hashable], right: Sequence[Hashable]) -> Iterator[Block]:
    """Equal runs in order; what lies between two of them differs.

    The script of edits that they leave is a shortest one where the sides are
    short, or differ in at most ``MOST_EDITS`` ids (Myers, "An O(ND) difference
    algorithm", 1986). Otherwise they are cut at runs that stand once on each.
    """
    held = Block(0, 0, 0)
    for block in _Pair(left, right).all():
        if (held.left + held.length, held.right + held.length) == block[:2]:
            held = held._replace(length=held.length + block.length)
            continue
        if held.length:
            yield held
        held = block
    if held.length:
        yield held


class _Pair:
    """Both sides as bytes, so that long runs are compared at once."""

    def __init__(self, left: Sequence[Hashable], right: Sequence[Hashable]) -> None:
        numbers: dict[Hashable, int] = {}
        self.whole = Box(0, len(left), 0, len(right))
        self.numbered = tuple(
            array("I", [numbers.setdefault(token, len(numbers)) for token in side]) for side in (left, right)
        )
        self.left, self.right = (side.tobytes() for side in self.numbered)

    def all(self) -> Iterator[Block]:
        """Equal runs of the whole, some of them in parts."""
        box, head, tail = self.trimmed(self.whole)
        found = self.within(box, MOST_EDITS)
        if found is None:
            found = self.anchored(box)
        yield from (head, *found, tail)

    def trimmed(self, box: Box) -> tuple[Box, Block, Block]:
        """The box without what both sides begin and end with, and these two."""
        most = min(box.left_end - box.left, box.right_end - box.right)
        head = self.run(box.left, box.right, most)
        tail = self.run_back(box.left_end, box.right_end, most - head)
        inner = Box(box.left + head, box.left_end - tail, box.right + head, box.right_end - tail)
        return inner, Block(box.left, box.right, head), Block(inner.left_end, inner.right_end, tail)

    def within(self, box: Box, most: int) -> Iterable[Block] | None:
        """Equal runs of a box with a shortest script; ``None`` where that is too much to ask."""
        return self.table(box) if box.area <= SMALL else self.shortest(box, most)

    def table(self, box: Box) -> Iterator[Block]:
        """The whole table of a box, by rapidfuzz."""
        left, right = self.numbered
        codes = Indel.opcodes(left[box.left : box.left_end].tolist(), right[box.right : box.right_end].tolist())
        for code in codes if box.area else ():
            if code.tag == "equal":
                yield Block(box.left + code.src_start, box.right + code.dest_start, code.src_end - code.src_start)

    def shortest(self, box: Box, most: int) -> list[Block] | None:
        """Myers' greedy search: the furthest place on each diagonal by 0, 1, 2 … edits."""
        width, height = box.left_end - box.left, box.right_end - box.right
        reach, trace = {1: 0}, list[dict[int, int]]()
        for edits in range(most + 1):
            trace.append(dict(reach))
            for diagonal in range(-edits, edits + 1, 2):
                x = _step(reach, diagonal, edits)
                y = x - diagonal
                if x > width or y > height or y < 0:
                    reach[diagonal] = x
                    continue
                x += self.run(box.left + x, box.right + y, min(width - x, height - y))
                reach[diagonal] = x
                if x >= width and x - diagonal >= height:
                    return list(_traced(trace, box, width, height))
        return None

    def anchored(self, box: Box) -> Iterator[Block]:
        """Equal runs along those that stand once on each side, and of what lies between."""
        left, right = box.left, box.right
        for x, y in [*self.anchors(box), (box.left_end, box.right_end)]:
            if x < left or y < right:
                continue
            yield from self.gap(Box(left, x, right, y))
            length = self.run(x, y, min(box.left_end - x, box.right_end - y))
            yield Block(x, y, length)
            left, right = x + length, y + length

    def gap(self, box: Box) -> Iterator[Block]:
        """Equal runs between two anchors; a gap too large to be searched is taken to differ as a whole."""
        inner, head, tail = self.trimmed(box)
        found = self.within(inner, MOST_IN_GAP)
        if found is None:
            found = self.table(inner) if inner.area <= LARGE else ()
        yield from (head, *found, tail)

    def anchors(self, box: Box) -> list[tuple[int, int]]:
        """Places of runs that stand once on each side, as many as keep their order on both."""
        places = [_once(self.left, box.left, box.left_end), _once(self.right, box.right, box.right_end)]
        pairs = [(x, places[1][run]) for run, x in places[0].items() if run in places[1]]
        return _rising(sorted(pairs))

    def run(self, left: int, right: int, most: int) -> int:
        """How many ids are equal from two places on."""
        length, step, grows = 0, 1, True
        while length < most and step:
            step = min(step, most - length)
            a, b = WIDTH * (left + length), WIDTH * (right + length)
            if self.left[a : a + WIDTH * step] == self.right[b : b + WIDTH * step]:
                length += step
                step *= 2 if grows else 1
            else:
                grows, step = False, step // 2
        return length

    def run_back(self, left: int, right: int, most: int) -> int:
        """How many ids are equal up to two places."""
        length, step, grows = 0, 1, True
        while length < most and step:
            step = min(step, most - length)
            a, b = WIDTH * (left - length), WIDTH * (right - length)
            if self.left[a - WIDTH * step : a] == self.right[b - WIDTH * step : b]:
                length += step
                step *= 2 if grows else 1
            else:
                grows, step = False, step // 2
        return length


def _step(reach: dict[int, int], diagonal: int, edits: int) -> int:
    """Where a diagonal is entered: down from the one above, or right from the one below."""
    if diagonal == -edits or (diagonal != edits and reach[diagonal - 1] < reach[diagonal + 1]):
        return reach[diagonal + 1]
    return reach[diagonal - 1] + 1


def _traced(trace: Sequence[dict[int, int]], box: Box, x: int, y: int) -> Iterator[Block]:
    """The equal runs of the way that was found, from its start."""
    found: list[Block] = []
    for edits in range(len(trace) - 1, -1, -1):
        reach, diagonal = trace[edits], x - y
        down = diagonal == -edits or (diagonal != edits and reach[diagonal - 1] < reach[diagonal + 1])
        before = diagonal + 1 if down else diagonal - 1
        entered = reach[before] if down else reach[before] + 1
        if edits == 0:
            entered = 0
        if x > entered:
            found.append(Block(box.left + entered, box.right + entered - diagonal, x - entered))
        x, y = reach[before], reach[before] - before
    return reversed(found)


def _once(side: bytes, start: int, end: int) -> dict[bytes, int]:
    """Runs of ``ANCHOR`` ids that stand once, and where."""
    found: dict[bytes, int] = {}
    for place in range(start, end - ANCHOR + 1):
        run = side[WIDTH * place : WIDTH * (place + ANCHOR)]
        found[run] = -1 if run in found else place
    return {run: place for run, place in found.items() if place >= 0}


def _rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of pairs in the order of the first, the most whose second rises, too (patience sorting)."""
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for number, (_, y) in enumerate(pairs):
        place = bisect_left(ends, y)
        before.append(last[place - 1] if place else -1)
        ends[place : place + 1] = [y]
        last[place : place + 1] = [number]
    made: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        made.append(pairs[number])
        number = before[number]
    return made[::-1]
