r"""JSON strings in the grammar, in which no marker can be written that a :class:`Guard` shuts out.

Measured with Kimi's 163,840 tokens on xgrammar 0.2.8 (``benchmarks/enforcer_compile.py``):
``json_schema``'s own ``excludes`` costs 0.3 s of each new tag, as its rules go in
circles and are never recognized; one ``Regex`` node costs 0.4 s of the first tag
and 3 ms of later ones, and 20 µs of a token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from k2lab.enforcer.automaton import ESCAPE, FREE, Automaton, TooLarge, counted, holds, matching, without, without_loops
from k2lab.enforcer.expressions import LONGEST, body, chars, expression, node, one, rewritten, rules
from k2lab.enforcer.guard import Guard
from k2lab.errors import InputError

ESCAPE_BODY = r'"\\" (["\\/bfnrt] | "u" [0-9A-Fa-f]{4})'
"""One escape of JSON, as the body of a rule."""

FEW_STATES = 64
MOST_COUNTED = 450
"""States of a bounded string; each costs 15 ms of the first grammar with a vocabulary as large as Kimi's."""

SHORT_ESCAPE = r'\\["\\/bfnrt]'
ASCII = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7F))
OTHER = ((0x80, 0x10FFFF), (ESCAPE, ESCAPE))


CUTS = (("<", True, "<<<, <<|, {near}, or < in what is counted"), ("<", False, "<"), ("<|", False, "< and |"))
"""What is taken out of the classes of a pattern that is too large beside markers, and what that loses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A rule's body for a string with its quotes, or an automaton to be written as rules, and what is lost."""

    body: str | None = None
    states: Automaton | None = None
    loss: str = ""


@lru_cache(4096)
def text(guard: Guard, *, pattern: str | None, least: int, most: int | None, soft: int | None, macros: bool) -> Text:
    """A string with a pattern, or of ``least`` to ``most`` characters.

    ``soft`` bounds a string without bounds of its own. ``macros`` tells whether
    the engine has ``Regex``.
    """
    if pattern is not None:
        return _patterned(pattern, guard, macros)
    if most is None and soft is None:
        return _open(least, guard, macros)
    if most is None and macros and not least:
        return _softly(int(soft or 0), guard)
    return _counted(least, max(least, soft or 0) if most is None else most, guard)


def _open(least: int, guard: Guard, macros: bool) -> Text:
    """A string of at least so many characters: of many, ``<`` and what follows it count as one."""
    if not macros and least <= FEW_STATES:
        return Text(states=counted(least, None, guard.markers))
    last = expression(counted(min(least, 1), None, guard.markers))
    if least < 2 and macros:
        return Text(body=node(last))
    loss = _lost(f"<<<, <<|, {guard.spelled}", f"of at least {least} characters", " among the first")
    if macros:
        return Text(body=node(f"{_unit(guard)}{{{least - 1}}}{last}"), loss=loss)
    free = f"({chars(without(FREE, [(0x3C, 0x3C)]))} | {ESCAPE_BODY})"
    return Text(body=f'"\\"" {free}{{{least}}} {free}* "\\""', loss=_lost("<", f"of at least {least} characters"))


def _softly(most: int, guard: Guard) -> Text:
    """Up to so many characters, of which a ``<`` and what follows it count as one.

    What takes most states is written once a character: 16 characters cost 2 ms of a grammar, and 3 ms otherwise.
    """
    short = rf"(?:{chars(OTHER[:1])}|{SHORT_ESCAPE})"
    loss = _lost(f"\\u, <<<, <<|, {guard.spelled}", f"where max_string bounds it to {most} characters")
    return Text(body=node(rf"{_unit(guard, short)}{{0,{most}}}(?:<\||<|)"), loss=loss)


def _unit(guard: Guard, other: str = one(OTHER)) -> str:
    """A character, or ``<`` and what follows it and makes no marker; without a loop and never empty."""
    free, after, bar = (
        chars(without(ASCII, [(ord(c), ord(c)) for c in cut])) for cut in ("<", "<|", f"<{guard.letters}")
    )
    return rf"(?:{free}|<(?:{after}|<{after}|\|{bar})|(?:<<|<\||<|){other})"


def _counted(least: int, most: int, guard: Guard) -> Text:
    """Strings of a bounded number of characters: one state for each, and for each beginning of a marker."""
    markers = tuple(marker for marker in guard.markers if len(marker) <= most)
    if most * sum(map(len, markers)) <= FEW_STATES:
        return Text(states=counted(least, most, markers))
    return Text(states=counted(least, most, guard.near), loss=_lost(guard.spelled, f"of at most {most} characters"))


def _patterned(pattern: str, guard: Guard, macros: bool) -> Text:
    if not holds(pattern, guard.markers):
        return Text(body=_as_is(pattern, macros))
    found = _within(pattern, guard.markers)
    if found and macros:
        try:
            return Text(body=node(expression(found)))
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
            return Text(body=_as_is(pattern, macros, cut, block), loss=_lost(what.format(near=guard.spelled), named))
    if found and len(found.edges) <= MOST_COUNTED:
        return Text(states=found)
    raise InputError(f"a string with the pattern {pattern[:80]!r} would hold what begins a marker of Kimi's format")


def _within(pattern: str, markers: Sequence[str]) -> Automaton | None:
    try:
        return matching(pattern, markers)
    except TooLarge:
        return None


def _as_is(pattern: str, macros: bool, cut: str = "", block: str = "") -> str:
    """A pattern as it is, or without some letters but in what :func:`rewritten` makes a ``block``."""
    if macros and len(text := rewritten(pattern, cut=cut, block=block)) <= LONGEST:
        return node(f"(?:{text})")
    return f'"\\"" ({rewritten(pattern, as_rule=True, cut=cut, block=block)}) "\\""'


def _lost(what: str, where: str, how: str = "") -> str:
    return f"a string {where} cannot hold {what}{how}"


def written(found: Automaton, define: Callable[..., str], fresh: Callable[[], str], escape: str, end: str) -> str:
    """The rule of an automaton's texts and what ends them, one rule for each state."""
    try:
        return rules(found, define, escape, end)
    except TooLarge:  # it has loops: its states get names of their own
        names = {state: fresh() for state in range(len(found.edges))}
    for state, name in names.items():
        define(body(found, state, names, escape, end), name)
    return names[0]
