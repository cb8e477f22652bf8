r"""Strings in the grammar, in which no marker can be written that a :class:`Guard` shuts out.

Measured with Kimi's 163,840 tokens on xgrammar 0.2.8 (``benchmarks/enforcer_compile.py``):
``json_schema``'s own ``excludes`` costs 0.3 s of each new tag, as its rules go in
circles and are never recognized; one ``Regex`` node costs 0.4 s of the first tag
and 3 ms of later ones, and 20 µs of a token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from k2lab.enforcer.automaton import Automaton, TooLarge, counted, holds, matching, unescaped, without, without_loops
from k2lab.enforcer.bytewise import Classes
from k2lab.enforcer.expressions import LONGEST, chars, expression, literal, node, one, rewritten
from k2lab.enforcer.guard import Guard
from k2lab.enforcer.notation import ESCAPE_BODY, JSON, Notation
from k2lab.errors import InputError

FEW_STATES = 64
MOST_COUNTED = 450
"""States of a bounded string; each costs 15 ms of the first grammar with a vocabulary as large as Kimi's."""

SHORT_ESCAPE = r'\\["\\/bfnrt]'

CUTS = (("<", True, "<<<, <<|, {near}, or < in what is counted"), ("<", False, "<"), ("<|", False, "< and |"))
"""What is taken out of the classes of a pattern that is too large beside markers, and what that loses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A rule's body for a string with what surrounds it, or an automaton to be written as rules, and what is lost.

    ``rules`` are those that the body names.
    """

    body: str | None = None
    rules: Mapping[str, str] = field(default_factory=dict)
    states: Automaton | None = None
    loss: str = ""


@lru_cache(4096)
def text(
    guard: Guard,
    *,
    pattern: str | None,
    least: int,
    most: int | None,
    soft: int | None,
    macros: bool,
    notation: Notation = JSON,
) -> Text:
    """A string with a pattern, or of ``least`` to ``most`` characters.

    ``soft`` bounds a string without bounds of its own. ``macros`` tells whether
    the engine has ``Regex``. A pattern says what stands in the ``notation``.
    """
    made = _Strings(guard, macros, notation)
    if pattern is not None:
        return made.patterned(pattern)
    if most is None and soft is None:
        return made.open(least)
    if most is None and macros and not least:
        return made.softly(int(soft or 0))
    return made.counted(least, max(least, soft or 0) if most is None else most)


class _Strings:
    """Strings for one engine, in one notation."""

    def __init__(self, guard: Guard, macros: bool, notation: Notation) -> None:
        self.guard, self.macros, self.notation = guard, macros, notation

    def open(self, least: int) -> Text:
        """A string of at least so many characters: of many, ``<`` and what follows it count as one."""
        markers, unit = self.guard.markers, self.notation.unit
        if not self.macros and least <= FEW_STATES:
            return Text(states=counted(least, None, markers, unit))
        last = expression(counted(min(least, 1), None, markers, unit))
        if least < 2 and self.macros:
            return self._node(last)
        loss = _lost(f"<<<, <<|, {self.guard.spelled}", f"of at least {least} characters", " among the first")
        if self.macros:
            return self._node(f"{self._unit(one(self.notation.beyond))}{{{least - 1}}}{last}", loss)
        classes = Classes(by_bytes=True)
        free = classes.write(without(unescaped(unit), [(0x3C, 0x3C)]))
        free = f"({free} | {ESCAPE_BODY})" if self.notation.escapes else free
        return Text(
            body=self._surrounded(f"{free}{{{least}}} {free}*"),
            rules=classes.rules,
            loss=_lost("<", f"of at least {least} characters"),
        )

    def softly(self, most: int) -> Text:
        """Up to so many characters, of which a ``<`` and what follows it count as one.

        What takes most states is written once a character: 16 characters cost 2 ms of a grammar, and 3 ms otherwise.
        """
        plain, escapes = chars(unescaped(self.notation.beyond)), self.notation.escapes
        short = rf"(?:{plain}|{SHORT_ESCAPE})" if escapes else plain
        long = "\\u, " if escapes else ""
        loss = _lost(f"{long}<<<, <<|, {self.guard.spelled}", f"where max_string bounds it to {most} characters")
        return self._node(rf"{self._unit(short)}{{0,{most}}}(?:<\||<|)", loss)

    def _unit(self, other: str) -> str:
        """A character, or ``<`` and what follows it and makes no marker; without a loop and never empty."""
        free, after, bar = (
            chars(without(self.notation.ascii, [(ord(c), ord(c)) for c in cut]))
            for cut in ("<", "<|", f"<{self.guard.letters}")
        )
        return rf"(?:{free}|<(?:{after}|<{after}|\|{bar})|(?:<<|<\||<|){other})"

    def counted(self, least: int, most: int) -> Text:
        """Strings of a bounded number of characters: one state for each, and for each beginning of a marker."""
        unit = self.notation.unit
        markers = tuple(marker for marker in self.guard.markers if len(marker) <= most)
        if most * sum(map(len, markers)) <= FEW_STATES:
            return Text(states=counted(least, most, markers, unit))
        loss = _lost(self.guard.spelled, f"of at most {most} characters")
        return Text(states=counted(least, most, self.guard.near, unit), loss=loss)

    def patterned(self, pattern: str) -> Text:
        """A string that a pattern matches as a whole."""
        guard = self.guard
        if not holds(pattern, guard.markers):
            return self._as_is(pattern)
        found = _within(pattern, guard.markers)
        if found and self.macros:
            try:
                return self._node(expression(found))
            except TooLarge:
                pass
        elif found and len(found.edges) <= MOST_COUNTED:
            return Text(states=found)
        named = "with its pattern, but where that names it,"
        near = _within(pattern, guard.near)
        if near and len(near.edges) <= MOST_COUNTED and without_loops(near):
            return Text(states=near, loss=_lost(guard.spelled, named))
        for cut, blocks, what in CUTS:
            block = guard.letters if blocks else ""
            if not holds(rewritten(pattern, cut=cut, block=block), guard.markers):
                return self._as_is(pattern, cut, block, _lost(what.format(near=guard.spelled), named))
        if found and len(found.edges) <= MOST_COUNTED:
            return Text(states=found)
        raise InputError(f"a string with the pattern {pattern[:80]!r} would hold what begins a marker of Kimi's format")

    def _as_is(self, pattern: str, cut: str = "", block: str = "", loss: str = "") -> Text:
        """A pattern as it is, or without some letters but in what :func:`rewritten` makes a ``block``."""
        if self.macros and len(text := rewritten(pattern, cut=cut, block=block)) <= LONGEST:
            return self._node(f"(?:{text})", loss)
        classes = Classes(by_bytes=not self.macros)
        body = f"({rewritten(pattern, as_rule=classes.write, cut=cut, block=block)})"
        return Text(body=self._surrounded(body), rules=classes.rules, loss=loss)

    def _node(self, expression: str, loss: str = "") -> Text:
        return Text(body=node(expression, self.notation.begin, self.notation.end), loss=loss)

    def _surrounded(self, body: str) -> str:
        return f"{literal(self.notation.begin)} {body} {literal(self.notation.end)}"


def _within(pattern: str, markers: Sequence[str]) -> Automaton | None:
    try:
        return matching(pattern, markers)
    except TooLarge:
        return None


def _lost(what: str, where: str, how: str = "") -> str:
    return f"a string {where} cannot hold {what}{how}"
