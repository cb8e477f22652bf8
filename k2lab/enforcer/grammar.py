"""Rules of xgrammar's EBNF while they are written.

Each part is a rule of its own, and equal parts are one: a tool's arguments stand
once, however many calls may come, and a part that was in an earlier grammar is
known to the engine by what it says (xgrammar 0.2.8 keeps what it computed for a
rule beyond one grammar).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from k2lab.enforcer import strings
from k2lab.enforcer.automaton import Automaton, Ranges, free, unescaped
from k2lab.enforcer.bytewise import Classes
from k2lab.enforcer.expressions import literal, written
from k2lab.enforcer.guard import K2, Guard
from k2lab.enforcer.notation import ESCAPE_BODY, JSON, RAW, Notation
from k2lab.enforcer.schema import Limit
from k2lab.enforcer.schema.finite import Schema

WHITE_SPACE = 16
"""Blanks in a row that JSON may hold: room for indented JSON, and no room to run on for ever."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """A part of a schema of which valid values cannot be written."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.reason}"


@dataclass(kw_only=True)
class Grammar:
    """Rules by name.

    ``macros``: the engine has ``Regex``. ``max_string`` bounds strings without
    bounds. No string of it holds what ``guard`` shuts out. ``losses`` and
    ``limits`` are what was taken too much of and what was not held so far.
    """

    guard: Guard = K2
    macros: bool = True
    max_string: int | None = None
    losses: list[Loss] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    rules: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def text(self, root: str) -> str:
        """The whole grammar, with the body of its root."""
        return "\n".join(f"{name} ::= {body}" for name, body in [("root", root), *self.rules.items()])

    def define(self, body: str, name: str | None = None) -> str:
        """The rule with a body: a new one, unless there is one that says the same."""
        if name is None:
            if body in self.names:
                return self.names[body]
            name = self.names[body] = self.fresh()
        self.rules[name] = body
        return name

    def fresh(self) -> str:
        """A name for a rule, which is taken from now on."""
        name = f"r{len(self.rules)}"
        self.rules[name] = ""
        return name

    @property
    def blank(self) -> str:
        """White space."""
        some = f"[ \\n\\r\\t]{{0,{WHITE_SPACE}}}"
        return self.define(f"Regex({literal(some)})" if self.macros else some)

    @property
    def colon(self) -> str:
        """Between a key and its value."""
        return f'{self.blank} ":" {self.blank}'

    def listed(self, value: object) -> str:
        """A value in its usual spellings, with white space where JSON may have it."""
        if isinstance(value, Mapping):
            parts = [f"{self.listed(key)} {self.colon} {self.listed(item)}" for key, item in value.items()]
            return self._enclosed("{", parts, "}")
        if isinstance(value, list):
            return self._enclosed("[", list(map(self.listed, value)), "]")
        ways = list(map(literal, _spellings(value)))
        return ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"

    def _enclosed(self, begin: str, parts: list[str], end: str) -> str:
        inside = f' {self.blank} "," {self.blank} '.join(parts)
        return f"{literal(begin)} {self.blank} {inside}{f' {self.blank} ' if parts else ''}{literal(end)}"

    def string(self, said: Schema, path: str, bound: int | None = None, notation: Notation = JSON) -> str:
        """The rule of a string with what surrounds it."""
        asked = (said.get("pattern"), said.get("minLength", 0), said.get("maxLength"), bound)
        if notation is RAW and asked == (None, 0, None, None):
            return self.define(f"{literal(RAW.begin)} {self.free(self.guard.markers)} {literal(RAW.end)}")
        pattern, least, most, soft = asked
        made = strings.text(
            self.guard, pattern=pattern, least=least, most=most, soft=soft, macros=self.macros, notation=notation
        )
        if made.loss:
            self.losses.append(Loss(path=path, reason=made.loss))
        self.rules |= made.rules
        if made.body is not None:
            return self.define(made.body)
        assert made.states is not None
        key = f"string {asked} {notation}"
        if key not in self.names:
            inside = self.automaton(made.states, literal(notation.end))
            self.names[key] = self.define(f"{literal(notation.begin)} {inside}")
        return self.names[key]

    def automaton(self, found: Automaton, end: str) -> str:
        """The rule of an automaton's texts and what ends them."""
        return written(found, self.define, self.fresh, self._letters, end)

    def _letters(self, ranges: Ranges) -> list[str]:
        """A class of some characters, and the rule of an escape where one may stand."""
        plain = unescaped(ranges)
        classes = Classes(by_bytes=not self.macros)
        ways = classes.ways(plain) if plain else []
        self.rules |= classes.rules
        return ways if len(plain) == len(ranges) else [*ways, self.define(ESCAPE_BODY)]

    def free(self, markers: tuple[str, ...]) -> str:
        """Free text, in which no marker may be written; the end of the turn stays allowed.

        With macros it holds any bytes, those that are no UTF-8, too: nothing counts its characters.
        """
        if not self.macros:
            return self.automaton(free(markers), '""')
        quoted = ", ".join(map(literal, markers))
        return self.define(f"TagDispatch(loop_after_dispatch=false, excludes=({quoted}))")


State = TypeVar("State", bound=Hashable)


@dataclass(kw_only=True)
class Series(Generic[State]):
    """Members or items behind each other, up to a bracket that closes them.

    ``moves`` gives what may come next in a state and the state after it, ``ends``
    whether the bracket, a part of a rule's body, may. With ``commas`` they stand between, as in JSON, with
    white space where JSON may have it.
    """

    grammar: Grammar
    moves: Callable[[State], Iterable[tuple[str, State]]]
    ends: Callable[[State], bool]
    bracket: str
    commas: bool = True
    _made: dict[State, str | None] = field(default_factory=dict)
    _open: dict[State, str] = field(default_factory=dict)

    def whole(self, start: State) -> str | None:
        """What stands between the opening bracket and the end, that included; ``None`` where nothing can."""
        return self._either(self._ways(start), start)

    def _either(self, ways: list[str], state: State) -> str | None:
        ways = ways + ([self.bracket] if self.ends(state) else [])
        blank = f"{self.grammar.blank} " if self.commas else ""
        return f"{blank}({' | '.join(ways)})" if ways else None

    def _ways(self, state: State) -> list[str]:
        return [f"{item} {rest}" for item, after in self.moves(state) if (rest := self._rest(after))]

    def _rest(self, state: State) -> str | None:
        """The rule of what follows; a state that leads to itself has a rule that names itself."""
        if state in self._made:
            return self._made[state]
        if state in self._open:
            self._open[state] = self._open[state] or self.grammar.fresh()
            return self._open[state]
        self._open[state] = ""
        ways = self._ways(state)
        if ways and self.commas:
            ways = [f'"," {self.grammar.blank} ({" | ".join(ways)})']
        name, body = self._open.pop(state) or None, self._either(ways, state)
        self._made[state] = self.grammar.define(body, name) if body else None
        return self._made[state]


def _spellings(value: object) -> list[str]:
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return list(dict.fromkeys((text, f"{value:.17g}", f"{value + 0.0:.17g}")))  # -0.0 is 0, too
    return list(dict.fromkeys((text, json.dumps(value).replace("\x7f", "\\u007f"))))
