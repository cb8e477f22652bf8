r"""Texts as finite automata: what a pattern matches, less every text that holds a marker.

A state's edges lead over ranges of code points; :data:`ESCAPE` stands for one
whole escape of JSON, as ``\\n`` or ``\\u00e9``, which begins or goes on no marker.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from k2lab.enforcer.schema.characters import ALL, LITERAL, SURROGATES
from k2lab.enforcer.schema.ecma262 import Choice, Class, Part, Parts, Repeat, Set, read

Ranges = tuple[tuple[int, int], ...]

ASCII_END = 0x7F
ESCAPE = 0x110000
FREE: Ranges = tuple(LITERAL)
"""Characters that stand for themselves in a JSON string."""

UNIT: Ranges = (*FREE, (ESCAPE, ESCAPE))
"""What counts as one character of a JSON string."""

EVERY: Ranges = tuple(ALL)
"""What counts as one character of a text that stands as it is."""

MOST_STATES = 600
MOST_POSITIONS = 800
"""Of a pattern that is put beside markers: each may become one state for each beginning of a marker."""


class TooLarge(Exception):
    """An automaton, or what is written for it, is beyond what a grammar should hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Automaton:
    """Deterministic, from state 0: for each state its edges by target, and whether a text may end there."""

    edges: tuple[Mapping[int, Ranges], ...]
    ends: frozenset[int]


@dataclass(kw_only=True)
class Pieces:
    """A nondeterministic automaton while it is put together."""

    free: list[list[int]]
    moves: list[list[tuple[Ranges, int]]]

    @classmethod
    def empty(cls) -> Pieces:
        """With the start as its one state."""
        return cls(free=[[]], moves=[[]])

    def state(self) -> int:
        """A new state."""
        self.free.append([])
        self.moves.append([])
        if len(self.free) > 20 * MOST_STATES:
            raise TooLarge
        return len(self.free) - 1

    def step(self, start: int, ranges: Ranges) -> int:
        """The state behind one character."""
        end = self.state()
        self.moves[start].append((ranges, end))
        return end

    def loop(self, start: int, ranges: Ranges) -> int:
        """The state in which any number of characters leaves it."""
        end = self.state()
        self.free[start].append(end)
        self.moves[end].append((ranges, end))
        return end

    def sequence(self, start: int, parts: Parts) -> int:
        """The state behind a pattern that was read, which has no anchors."""
        for part in parts:
            start = self._part(start, part)
        return start

    def _part(self, start: int, part: Part) -> int:
        if isinstance(part, Choice):
            return self._joined([self.sequence(start, branch) for branch in part.branches])
        if isinstance(part, Repeat):
            return self._repeated(start, part)
        return self.step(start, codes(part))

    def _joined(self, ends: list[int]) -> int:
        end = self.state()
        for place in ends:
            self.free[place].append(end)
        return end

    def _repeated(self, start: int, repeat: Repeat) -> int:
        for _ in range(repeat.least):
            start = self.sequence(start, repeat.part)
        if repeat.most is None:
            begin = self._joined([start])
            self.free[self.sequence(begin, repeat.part)].append(begin)
            return self._joined([begin])
        ends = [start]
        for _ in range(repeat.most - repeat.least):
            ends.append(self.sequence(self._joined([ends[-1]]), repeat.part))
        return self._joined(ends)

    def closure(self, states: Iterable[int]) -> frozenset[int]:
        """All states that are reached without a character."""
        found, waiting = set(states), list(states)
        while waiting:
            for place in self.free[waiting.pop()]:
                if place not in found:
                    found.add(place)
                    waiting.append(place)
        return frozenset(found)


def codes(part: Part) -> Ranges:
    """The characters of a set of a pattern; what is negated keeps to those that JSON writes as they are."""
    assert isinstance(part, Set), "anchors and classes are taken out of a pattern before it is written"
    listed = [item for item in part.items if not isinstance(item, Class)]
    return without(FREE, listed) if part.negated else without(merged(listed), [SURROGATES])


def unescaped(ranges: Ranges) -> Ranges:
    """Ranges less escapes."""
    return tuple(part for part in ranges if part[0] != ESCAPE)


def without(ranges: Ranges, removed: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges less others."""
    for start, end in removed:
        ranges = tuple(
            part
            for low, high in ranges
            for part in ((low, min(high, start - 1)), (max(low, end + 1), high))
            if part[0] <= part[1]
        )
    return ranges


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges in order, those that touch as one."""
    kept: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if kept and low <= kept[-1][1] + 1 and low != ESCAPE:
            kept[-1] = (kept[-1][0], max(kept[-1][1], high))
        else:
            kept.append((low, high))
    return tuple(kept)


def matching(pattern: str, markers: Sequence[str]) -> Automaton:
    """What a pattern matches as a whole, without the texts that hold a marker."""
    pieces = Pieces.empty()
    end = pieces.sequence(0, read(pattern))
    if len(pieces.free) > MOST_POSITIONS:
        raise TooLarge
    return _smallest(*determined(pieces, end, markers))


def counted(least: int, most: int | None, markers: Sequence[str], unit: Ranges = UNIT) -> Automaton:
    """Strings of so many characters, each a ``unit``, without those that hold a marker."""
    pieces, place = Pieces.empty(), 0
    for _ in range(least):
        place = pieces.step(place, unit)
    if most is None:
        return _smallest(*determined(pieces, pieces.loop(place, unit), markers))
    ends = [place]
    for _ in range(most - least):
        ends.append(pieces.step(ends[-1], unit))
    edges, last = determined(pieces, pieces._joined(ends), markers)
    return Automaton(edges=tuple(edges), ends=last)


def free(markers: Sequence[str]) -> Automaton:
    """All texts but those that hold a marker."""
    pieces = Pieces.empty()
    return _smallest(*determined(pieces, pieces.loop(0, EVERY), markers))


def without_loops(found: Automaton) -> bool:
    """Whether no state leads back to itself."""
    left = {state: set(out) for state, out in enumerate(found.edges)}
    while ready := [state for state, out in left.items() if not out & left.keys()]:
        for state in ready:
            del left[state]
    return not left


def holds(pattern: str, markers: Sequence[str]) -> bool:
    """Whether a text that a pattern matches may hold a marker."""
    pieces = Pieces.empty()
    pieces.sequence(0, read(pattern))
    waiting = [(0, "")]
    found = set(waiting)
    while waiting:
        place, seen = waiting.pop()
        nexts = [(other, seen) for other in pieces.free[place]]
        for ranges, other in pieces.moves[place]:
            for letter in _next_letters(seen, markers):
                if any(low <= ord(letter) <= high for low, high in ranges):
                    nexts.append((other, _seen(seen + letter, markers)))
            nexts.append((other, ""))  # by a letter that begins no marker; where there is none this only errs to yes
        if any(seen in markers for _, seen in nexts):
            return True
        new = [item for item in nexts if item not in found]
        found.update(new)
        waiting += new
    return False


def determined(pieces: Pieces, end: int, markers: Sequence[str]) -> tuple[list[dict[int, Ranges]], frozenset[int]]:
    """The edges and ends of a deterministic automaton, by subsets of states and how much of a marker was written."""
    first = (pieces.closure([0]), "")
    numbers, waiting, edges = {first: 0}, [first], []
    while waiting:
        states, seen = waiting.pop(0)
        out: dict[int, list[tuple[int, int]]] = {}
        moves = [move for state in states for move in pieces.moves[state]]
        for low, high in _segments(moves, _next_letters(seen, markers)):
            after = seen + chr(low) if low < ESCAPE else ""
            now = _seen(after, markers)
            reached = [to for ranges, to in moves if any(a <= low <= b for a, b in ranges)]
            if now in markers or not reached:
                continue
            target = (pieces.closure(reached), now)
            if target not in numbers:
                numbers[target] = len(numbers)
                waiting.append(target)
            out.setdefault(numbers[target], []).append((low, high))
        edges.append(out)
        if len(numbers) > MOST_STATES:
            raise TooLarge
    ends = frozenset(number for (states, _), number in numbers.items() if end in states)
    return [{to: merged(ranges) for to, ranges in out.items()} for out in edges], ends


def _next_letters(seen: str, markers: Sequence[str]) -> list[str]:
    """Letters that begin a marker or go on with one."""
    return sorted({marker[at] for marker in markers for at in range(len(marker)) if seen.endswith(marker[:at])})


def _seen(text: str, markers: Sequence[str]) -> str:
    """The longest end of a text that begins a marker."""
    while text and not any(marker.startswith(text) for marker in markers):
        text = text[1:]
    return text


def _segments(moves: Sequence[tuple[Ranges, int]], letters: Iterable[str]) -> list[tuple[int, int]]:
    """Runs of code points that no range and no letter tells apart."""
    cuts = {edge for ranges, _ in moves for low, high in ranges for edge in (low, high + 1)}
    cuts |= {edge for letter in letters for edge in (ord(letter), ord(letter) + 1)}
    edges = sorted(cuts | {ESCAPE, ESCAPE + 1})
    return [(low, high - 1) for low, high in itertools.pairwise(edges)]


def _smallest(edges: list[dict[int, Ranges]], ends: frozenset[int]) -> Automaton:
    """Without states from which no text ends, and with those as one from which the same texts do."""
    alive = _leading_to(edges, ends)
    if 0 not in alive:
        raise TooLarge  # nothing can be written
    edges = [{to: ranges for to, ranges in out.items() if to in alive} for out in edges]
    group = {state: int(state in ends) for state in alive}
    count = 0
    while count < len(set(group.values())):
        count = len(set(group.values()))
        signs = {state: (group[state], *_by_group(edges[state], group)) for state in sorted(alive)}
        numbers: dict[object, int] = {}
        group = {state: numbers.setdefault(sign, len(numbers)) for state, sign in signs.items()}
    if count > MOST_STATES:
        raise TooLarge
    made: list[Mapping[int, Ranges]] = [{}] * count
    for state in alive:
        made[group[state]] = dict(_by_group(edges[state], group))
    ends = frozenset(group[state] for state in ends if state in alive)
    return Automaton(edges=tuple(made), ends=ends)


def _by_group(out: Mapping[int, Ranges], group: Mapping[int, int]) -> list[tuple[int, Ranges]]:
    made: dict[int, list[tuple[int, int]]] = {}
    for to, ranges in out.items():
        made.setdefault(group[to], []).extend(ranges)
    return sorted((to, merged(ranges)) for to, ranges in made.items())


def _leading_to(edges: Sequence[Mapping[int, object]], ends: Iterable[int]) -> set[int]:
    back: dict[int, list[int]] = {}
    for state, out in enumerate(edges):
        for to in out:
            back.setdefault(to, []).append(state)
    found, waiting = set(ends), list(ends)
    while waiting:
        for state in back.get(waiting.pop(), ()):
            if state not in found:
                found.add(state)
                waiting.append(state)
    return found
