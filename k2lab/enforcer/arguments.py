"""A translated schema as the rules of a grammar, its values being JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal, TypeAlias, TypeVar

from k2lab.enforcer import numbers
from k2lab.enforcer.expressions import literal
from k2lab.enforcer.grammar import Grammar, Series
from k2lab.enforcer.guard import Guard
from k2lab.enforcer.schema.finite import Schema
from k2lab.errors import InputError

Done: TypeAlias = "frozenset[str] | int | None"
"""Declared members that were written: their names, the place in the schema's order, or none may follow."""

State: TypeAlias = "tuple[Done, int]"

Value = TypeVar("Value")

LARGEST_NUMBER = 10**15
"""Whole numbers up to here are exact wherever JSON is read."""

MOST_COUNTED = 48
"""Items that are counted one rule each; more are left to the engine's repetition."""


def rule(grammar: Grammar, schema: Schema, permuted: int) -> str:
    """The rule of a whole translated schema; objects of up to ``permuted`` keys have them in any order."""
    return Values(grammar, schema, permuted).node(schema, "")


class Values:
    """The values of one translated schema; its definitions get names before they are written."""

    def __init__(self, grammar: Grammar, whole: Schema, permuted: int) -> None:
        self.grammar, self.permuted = grammar, permuted
        self.definitions: Schema = whole.get("$defs", {})
        self.names: dict[str, str] = {}

    def node(self, schema: Schema | bool, path: str) -> str:
        """The rule of one schema."""
        if not isinstance(schema, dict) or not schema.keys() - {"$defs"}:
            return self._any()
        if "$ref" in schema:
            return self._named(schema["$ref"].rsplit("/", 1)[1], path)
        if "enum" in schema:
            return self.grammar.define(
                " | ".join(map(self.grammar.listed, writable(schema["enum"], self.grammar.guard)))
            )
        if "anyOf" in schema:
            return self.grammar.define(" | ".join(dict.fromkeys(self.node(part, path) for part in schema["anyOf"])))
        write: Callable[[Schema, str], str] = getattr(self, f"_{schema['type']}")
        return write(schema, path)

    def _named(self, name: str, path: str) -> str:
        if name not in self.names:
            self.names[name] = self.grammar.fresh()
            self.grammar.define(self.node(self.definitions[name], path), self.names[name])
        return self.names[name]

    def _null(self, said: Schema, path: str) -> str:
        return self.grammar.define('"null"')

    def _boolean(self, said: Schema, path: str) -> str:
        return self.grammar.define('"true" | "false"')

    def _string(self, said: Schema, path: str) -> str:
        return self.grammar.string(said, path, self.grammar.max_string)

    def _integer(self, said: Schema, path: str) -> str:
        if "multipleOf" in said:
            return _multiples(self.grammar, said["multipleOf"])
        return self.grammar.define(some(numbers.integer(self._bounded(said)), path))

    def _number(self, said: Schema, path: str) -> str:
        return self.grammar.define(some(numbers.number(self._bounded(said)), path))

    def _bounded(self, said: Schema) -> Schema:
        """Bounds on both sides where strings have one: digits without end make no number, or an infinite one."""
        if self.grammar.max_string is None:
            return said
        low = {} if said.keys() & {"minimum", "exclusiveMinimum"} else {"minimum": -LARGEST_NUMBER}
        high = {} if said.keys() & {"maximum", "exclusiveMaximum"} else {"maximum": LARGEST_NUMBER}
        return {**said, **low, **high}

    def _array(self, said: Schema, path: str) -> str:
        front = [self.node(item, f"{path}/{place}") for place, item in enumerate(said.get("prefixItems", ()))]
        rest, least, most = said.get("items", True), said.get("minItems", 0), said.get("maxItems")
        more = self.node(rest, f"{path}/*") if rest is not False and (most is None or most > len(front)) else None
        if more and not front and max(least, most or 0) > MOST_COUNTED:
            return self._long(more, least, most)
        settled = max(least, len(front))

        def moves(count: int) -> Iterator[tuple[str, int]]:
            if count < len(front):
                yield front[count], count + 1
            elif more and (most is None or count < most):
                yield more, count + 1 if most is not None or count < settled else settled

        def ends(count: int) -> bool:
            return bool(count >= least)

        series = Series(grammar=self.grammar, moves=moves, ends=ends, bracket='"]"')
        return self.grammar.define(f'"[" {some(series.whole(0), path)}')

    def _long(self, item: str, least: int, most: int | None) -> str:
        blank = self.grammar.blank
        bounds = f"{{{max(least - 1, 0)},{'' if most is None else most - 1}}}"
        inside = f'{item} ({blank} "," {blank} {item}){bounds} {blank}'
        return self.grammar.define(f'"[" {blank} {inside if least else f"({inside})?"} "]"')

    def _object(self, said: Schema, path: str) -> str:
        members = {
            name: self._member(
                self.grammar.listed(checked(name, self.grammar.guard)), part, f"{path}/properties/{pointed(name)}"
            )
            for name, part in said.get("properties", {}).items()
        }
        further = Members(said, members, self._further(said, path), len(members) <= self.permuted)
        series = Series(grammar=self.grammar, moves=further.moves, ends=further.ends, bracket='"}"')
        return self.grammar.define(f'"{{" {some(series.whole(further.start), path)}')

    def _member(self, key: str, part: Schema | bool, path: str) -> str:
        return self.grammar.define(f"{key} {self.grammar.colon} {self.node(part, path)}")

    def _further(self, said: Schema, path: str) -> str | None:
        """The rule of a member that is not declared."""
        ways = [
            self._member(self.grammar.string({"pattern": pattern}, f"{path}/*"), part, f"{path}/*")
            for pattern, part in said.get("patternProperties", {}).items()
        ]
        rest = said.get("additionalProperties", True)
        if rest is not False:
            ways.append(self._member(self.grammar.string({}, f"{path}/*", self.grammar.max_string), rest, f"{path}/*"))
        return self.grammar.define(" | ".join(ways)) if ways else None

    def _any(self) -> str:
        """Any JSON."""
        grammar = self.grammar
        if "any" not in grammar.names:
            name = grammar.names["any"] = grammar.fresh()
            string, number = grammar.string({}, ""), grammar.define(numbers.NUMBER)
            member = grammar.define(f"{string} {grammar.colon} {name}")
            parts = [string, number]
            for kind, begin, part, end in (("array", '"["', name, "]"), ("object", '"{"', member, "}")):
                endless = Series(grammar=grammar, moves=partial(_again, part), ends=_always, bracket=literal(end))
                grammar.names[f"any {kind}"] = grammar.define(f"{begin} {endless.whole(False)}")
                parts.append(grammar.names[f"any {kind}"])
            grammar.define(" | ".join([*parts, '"true"', '"false"', '"null"']), name)
        return grammar.names["any"]

    def any_of(self, kind: Literal["array", "object"]) -> str:
        """The rule of any array or object."""
        self._any()
        return self.grammar.names[f"any {kind}"]


class Members:
    """The members of an object: a few in any order, more in the schema's, and further ones behind them.

    Held to an order that is not its own, a model fills the first key with what
    belongs to the next. A state is which keys were written, so that four keys
    have 16 states and not 24 orders, then how many, where that is bounded.
    """

    def __init__(self, said: Schema, members: Mapping[str, str], more: str | None, permuted: bool) -> None:
        self.members, self.more = members, more
        self.order = list(members)
        self.required = frozenset(said.get("required", ()))
        self.least, self.most = said.get("minProperties", 0), said.get("maxProperties")
        self.enough = max(self.least, len(members) + 1) if self.most is None else self.most
        self.counts = self.most is not None or self.least > len(self.required)
        self.start: State = (frozenset() if permuted else 0, 0)

    def moves(self, state: State) -> Iterator[tuple[str, State]]:
        """What may come next: a declared member, or a further one where no required one is missing."""
        done, count = state
        if self.most is not None and count >= self.most:
            return
        after = min(count + 1, self.enough) if self.counts else 1
        if done is not None:
            for name, then in self._declared(done):
                yield self.members[name], (then, after)
        if self.more and not self._missing(done):
            yield self.more, (None, after)

    def _declared(self, done: frozenset[str] | int) -> Iterator[tuple[str, Done]]:
        if isinstance(done, frozenset):
            yield from ((name, done | {name}) for name in self.order if name not in done)
            return
        for place in range(done, len(self.order)):
            yield self.order[place], place + 1
            if self.order[place] in self.required:
                return

    def ends(self, state: State) -> bool:
        """Whether no required member is missing, and there are enough."""
        done, count = state
        return not self._missing(done) and (not self.counts or count >= self.least)

    def _missing(self, done: Done) -> frozenset[str]:
        if done is None:
            return frozenset()
        later = self.order[done:] if isinstance(done, int) else self.required - done
        return self.required & frozenset(later)


def _multiples(grammar: Grammar, step: int) -> str:
    """Multiples of a whole number: one rule for each remainder of what was written."""
    name = grammar.names.get(f"multiples {step}")
    if name is None:
        names = [grammar.fresh() for _ in range(step)]
        for rest, own in enumerate(names):
            ways = [f'"{digit}" {names[(10 * rest + digit) % step]}' for digit in range(10)]
            grammar.define(" | ".join([*ways, *(['""'] if rest == 0 else [])]), own)
        first = " | ".join(f'"{digit}" {names[digit % step]}' for digit in range(1, 10))
        name = grammar.names[f"multiples {step}"] = grammar.define(f'"0" | "-"? ({first})')
    return name


def writable(values: Sequence[Value], guard: Guard) -> list[Value]:
    """The listed values in which no marker stands; raises :class:`InputError` where there are none."""
    kept = [value for value in values if not _holds(value, guard.markers)]
    if not kept:
        raise InputError(f"no value of {values!r} can be written in Kimi's format: each holds what begins a marker")
    return kept


def checked(name: str, guard: Guard) -> str:
    """The name of a property in which no marker stands."""
    if _holds(name, guard.markers):
        raise InputError(f"property {name!r} cannot be written in Kimi's format: it holds what begins a marker")
    return name


def _holds(value: object, markers: Sequence[str]) -> bool:
    if isinstance(value, str):
        return any(marker in value for marker in markers)
    parts = [*value, *value.values()] if isinstance(value, Mapping) else value if isinstance(value, list) else []
    return any(_holds(part, markers) for part in parts)


def _again(part: str, _: bool) -> list[tuple[str, bool]]:
    """The same part, any number of times."""
    return [(part, True)]


def _always(_: bool) -> bool:
    return True


def some(body: str | None, path: str) -> str:
    """The body of a rule; raises :class:`InputError` where there is none."""
    if body is None:
        raise InputError(f"{path or '/'} has bounds that nothing is within")
    return body


def pointed(name: str) -> str:
    """A name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
