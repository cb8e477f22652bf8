r"""Regular expressions and rules in the notations of xgrammar's EBNF.

``Regex("…")`` is one automaton to the engine: written quickly, told to be the
same in the next grammar, and checked without going through rules. Its builder
(xgrammar 0.2.8) gets ``?``, ``+`` and ``{n,}`` wrong beside loops: ``(a{2,})?``
takes ``a``. So only classes, sequences, choices, ``*`` and, without a loop
within, ``{m,n}`` are written, between quotes, which held in 1,400 random
expressions against Python's :mod:`re`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from k2lab.enforcer.automaton import Automaton, Ranges, TooLarge, codes, unescaped, without
from k2lab.enforcer.schema.ecma262 import Choice, Part, Parts, Repeat, Set, read

ESCAPED = r'\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})'
"""One escape of JSON, as a regular expression."""

LONGEST = 8192
"""Letters of an expression; longer ones are written as rules."""

Spell: TypeAlias = Callable[[Ranges], str]
"""Writes a class."""

Letters: TypeAlias = Callable[[Ranges], Sequence[str]]
"""The parts of a rule's body that are each one of some characters, or an escape."""

CONTROL = re.compile(r"[\x00-\x1f]")

SPECIAL = frozenset(r"\^$.*+?()[]{}|/-")


def literal(text: str) -> str:
    """A text as a literal of EBNF."""
    made = text.replace("\\", "\\\\").replace('"', '\\"')
    for letter, name in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        made = made.replace(letter, name)
    return f'"{CONTROL.sub(_by_number, made)}"'


def _by_number(control: re.Match[str]) -> str:
    return f"\\u{ord(control[0]):04x}"


def node(expression: str, begin: str, end: str) -> str:
    """A regular expression as one automaton of the engine's, with the characters before and behind it."""
    return f"Regex({literal(f'{begin}{expression}{end}')})"


def chars(ranges: Ranges) -> str:
    """Code points as a class."""
    return f"[{''.join(_letter(low) if low == high else f'{_letter(low)}-{_letter(high)}' for low, high in ranges)}]"


def one(ranges: Ranges) -> str:
    """One character, or an escape, as a regular expression."""
    plain = unescaped(ranges)
    if len(plain) == len(ranges):
        return chars(plain)
    return f"(?:{chars(plain)}|{ESCAPED})" if plain else ESCAPED


def rewritten(pattern: str, *, as_rule: Spell | None = None, cut: str = "", block: str = "") -> str:
    """A pattern in the engine's notation, as a regular expression or as a rule's body.

    ``as_rule`` is what writes the classes of a rule. ``cut`` are letters that are
    taken out of classes in which they do not stand by themselves. ``block`` leaves
    ``<`` in what is repeated without an end, together with what follows it and
    makes no marker: it has the letters that make one of ``<|``.
    """
    return _Notation(as_rule, cut, block).sequence(read(pattern))


class _Notation:
    def __init__(self, as_rule: Spell | None, cut: str, block: str = "") -> None:
        self.rule, self.cut, self.block = as_rule, cut, block
        self.spell, self.opening = (as_rule, "(") if as_rule else (chars, "(?:")

    def sequence(self, parts: Parts) -> str:
        text = (" " if self.rule else "").join(map(self._part, parts))
        return text or ('""' if self.rule else "")

    def _part(self, part: Part) -> str:
        if isinstance(part, Choice):
            return self._group("|".join(map(self.sequence, part.branches)))
        if isinstance(part, Repeat):
            endless = self.block and part.most is None and _is_wide(part.part)
            text = self._block(part.part) if endless else self._group(self.sequence(part.part))
            return self._repeated(text, part.least, part.most)
        ranges = codes(part)
        for letter in self.cut:
            alone = (ord(letter), ord(letter))
            ranges = ranges if alone in ranges else without(ranges, [alone])
        if not ranges:
            raise TooLarge
        return self.spell(ranges)

    def _block(self, parts: Parts) -> str:
        """One character, or ``<`` and what follows it and makes no marker."""
        free, after, bar = (_Notation(self.rule, cut).sequence(parts) for cut in ("<", "<|", f"<{self.block}"))
        less, line = ('"<" ', '"|" ') if self.rule else ("<", "\\|")
        return self._group(
            f"{free}|{less}{self._group(f'{after}|{less}{self._group(after)}|{line}{self._group(bar)}')}"
        )

    def _group(self, text: str) -> str:
        return f"{self.opening}{text})"

    def _repeated(self, text: str, least: int, most: int | None) -> str:
        gap = " " if self.rule else ""
        if most is None:
            return (f"{text}{{{least}}}{gap}" if least > 1 else f"{text}{gap}" * least) + f"{text}*"
        if self.rule or not ("*" in text or "|)" in text):
            return f"{text}{{{least},{most}}}"
        more = ""
        for _ in range(most - least):
            more = f"(?:{text}{more}|)"
        return text * least + more


def _is_wide(parts: Parts) -> bool:
    """Whether a part of a pattern is a class with ``<`` and ``|`` among others, or a choice that has one."""
    if len(parts) != 1:
        return False
    [part] = parts
    if isinstance(part, Choice):
        return any(map(_is_wide, part.branches))
    return isinstance(part, Set) and all(any(a < code < b for a, b in codes(part)) for code in (0x3C, 0x7C))


Ways = dict[int, dict[int, list[str]]]
"""For each state the expressions that lead to others."""

END = -1


def expression(found: Automaton) -> str:
    """The regular expression of an automaton, by taking out its states one after the other.

    An escape and what is beyond ASCII, which take the engine most states, stand
    once for each state that they lead to, and so do edges that states share.
    """
    ways = _shared(found)
    while len(ways) > 1:
        gone = min((state for state in ways if state), key=lambda state: _weight(ways, state))
        loop = _star(ways[gone].pop(gone, []))
        after = ways.pop(gone)
        for out in ways.values():
            before = out.pop(gone, None)
            if before is None:
                continue
            for to, rest in after.items():
                made = f"{_choice(before)}{loop}{_choice(rest)}"
                if len(made) > LONGEST:
                    raise TooLarge
                out.setdefault(to, []).append(made)
    made = _star(ways[0].pop(0, [])) + _choice(ways[0].get(END, [""]))
    if len(made) > LONGEST:
        raise TooLarge
    return made


def _weight(ways: Ways, state: int) -> int:
    """The letters that taking out a state adds (the measure of Delgado and Morais)."""
    size = {to: sum(map(len, texts)) for to, texts in ways[state].items() if to != state}
    loop = sum(map(len, ways[state].get(state, ())))
    before = [sum(map(len, out[state])) for source, out in ways.items() if source != state and state in out]
    return sum(before) * (len(size) - 1) + sum(size.values()) * (len(before) - 1) + loop * (len(size) * len(before) - 1)


def _shared(found: Automaton) -> Ways:
    """An automaton's edges, with a state behind each state for what is written alike from many."""
    names: dict[object, int] = {}
    ways: Ways = {state: {} for state in range(len(found.edges))}

    def behind(key: object, out: dict[int, list[str]]) -> int:
        number = names.setdefault(key, len(found.edges) + len(names))
        ways.setdefault(number, out)
        return number

    for state, out in enumerate(found.edges):
        for to, ranges in out.items():
            wide = tuple((max(low, 0x80), high) for low, high in ranges if high >= 0x80)
            plain = tuple((low, min(high, 0x7F)) for low, high in ranges if low < 0x80)
            if wide:
                ways[state].setdefault(behind((to, wide), {to: [one(wide)]}), []).append("")
            if plain:
                ways[state].setdefault(to, []).append(one(plain))
    alike: dict[str, list[int]] = {}
    for state in range(len(found.edges)):
        alike.setdefault(repr(sorted(ways[state].items())), []).append(state)
    for states in alike.values():
        if len(states) > 1 and ways[states[0]]:
            via = behind(states[0], ways[states[0]])
            ways |= {state: {via: [""]} for state in states}
    for state in found.ends:
        ways[state].setdefault(END, []).append("")
    return ways


def _choice(ways: Sequence[str]) -> str:
    kept = sorted(dict.fromkeys(ways), key=bool, reverse=True)
    return kept[0] if len(kept) == 1 else f"(?:{'|'.join(kept)})"


def _star(ways: Sequence[str]) -> str:
    return f"(?:{'|'.join(dict.fromkeys(ways))})*" if ways else ""


def rules(found: Automaton, define: Callable[[str], str], letters: Letters, end: str) -> str:
    """The rule of an automaton's texts and what ends them, one rule for each state.

    Equal rules are one, where a state leads to no loop: bounds of 50 and of 100
    characters share fifty of them.
    """
    names: dict[int, str] = {}
    waiting = [0]
    while waiting:
        state = waiting[-1]
        missing = [to for to in found.edges[state] if to not in names]
        if missing and not set(missing) & set(waiting):
            waiting += missing
            continue
        if missing:
            raise TooLarge  # a loop
        waiting.pop()
        names[state] = define(body(found, state, names, letters, end))
    return names[0]


def body(found: Automaton, state: int, names: Mapping[int, str], letters: Letters, end: str) -> str:
    """One state: a character and where it leads, or the end of the string."""
    made = [f"{way} {names[to]}" for to, ranges in found.edges[state].items() for way in letters(ranges)]
    return " | ".join([*made, *([end] if state in found.ends else [])])


def written(found: Automaton, define: Callable[..., str], fresh: Callable[[], str], letters: Letters, end: str) -> str:
    """The rule of an automaton's texts and what ends them, one rule for each state."""
    try:
        return rules(found, define, letters, end)
    except TooLarge:  # it has loops: its states get names of their own
        names = {state: fresh() for state in range(len(found.edges))}
    for state, name in names.items():
        define(body(found, state, names, letters, end), name)
    return names[0]


def _letter(code: int) -> str:
    if code < 0x20:
        return f"\\u{code:04x}"
    return f"\\{chr(code)}" if chr(code) in SPECIAL else chr(code)
