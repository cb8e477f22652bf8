"""The whole tag of K3: the response, then a tools channel that admits this message's calls alone, in XTML.

What is held, as K3's own renderer writes it: reasoning closed before the
response, the response before the calls, their indexes 1, 2, 3 … of this message,
and per argument its key and type. Names of types are JSON's, but for integers,
which are of type ``number``; a string stands raw and all else as JSON; keys and
tool names have ``&`` and ``"`` escaped. Source: ``encoding_k3.py`` of the
checkpoint as vLLM 0.32.0 describes it (``tool_parsers/structural_tag_registry.py``,
``tool_parsers/kimi_k3_tool_parser.py``).

A prompt ends in the opening of the reasoning, or without thinking in that of the
response, so that neither is the model's to write. Its own end of the message may
be left out: the turn ends with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from k2lab.enforcer import numbers
from k2lab.enforcer.arguments import Members, Values, checked, pointed, some, writable
from k2lab.enforcer.expressions import literal
from k2lab.enforcer.grammar import Grammar, Series
from k2lab.enforcer.guard import Guard
from k2lab.enforcer.notation import ATTRIBUTE, RAW
from k2lab.enforcer.options import Thinking
from k2lab.enforcer.schema import KEY_TWICE, Limit
from k2lab.enforcer.schema.characters import ALL, Ranges, holds, without
from k2lab.enforcer.schema.finite import Schema
from k2lab.enforcer.schema.spelling import one_of, plain, respelled
from k2lab.families.special import CLOSE, END_OF_MSG, OPEN, SEP
from k2lab.wire.xtml.tags import close_tag, open_tag
from k2lab.wire.xtml.valueforms import escape, type_of

GUARD = Guard(markers=(OPEN, CLOSE, SEP, END_OF_MSG))
"""The markers of XTML, and the end of a message."""

FIRST_INDEX = 1
"""Of the calls of every message."""

ARGUMENT, END_OF_CALL = f"{OPEN}argument key=", close_tag("call")

ESCAPED = '&"'
"""What the value of an attribute has as an escape."""

KINDS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null",
         "array": "array", "object": "object"}  # fmt: skip
"""The ``type`` of an argument by that of its schema."""


def opened(channel: str) -> str:
    """The opening of a channel, as a literal of the grammar."""
    return literal(open_tag(channel))


def closed(channel: str) -> str:
    """The end of a channel, as a literal of the grammar."""
    return literal(close_tag(channel))


def root(
    grammar: Grammar, arguments: Mapping[str, str], first_index: int, most: int, *, must: bool, thinking: Thinking
) -> str:
    """The body of the whole answer's rule; ``arguments`` are the rules of the tools', by name."""
    section = _section(grammar, arguments, first_index, most) if arguments else ""
    calls = section if must or not section else f'({section} | "")'
    said = [] if must else [grammar.free(grammar.guard.markers)]
    response = " ".join([*said, closed("response")])
    return " ".join(filter(None, [_before(grammar, thinking), response, calls, f'({closed("message")} | "")']))


def _before(grammar: Grammar, thinking: Thinking) -> str:
    """What stands before the text of the response: its opening, which the prompt may have, and the reasoning."""
    response = opened("response")
    if thinking == "no":
        return f'({response} | "")'
    thought = f"{grammar.free(grammar.guard.markers)} {closed('think')} {response}"
    return thought if thinking == "begun" else f'({opened("think")} {thought} | {response} | "")'


def _section(grammar: Grammar, arguments: Mapping[str, str], first_index: int, most: int) -> str:
    """Calls up to the last index; each rule has the next call in it, as in :mod:`k2lab.enforcer.tag`."""
    begin, end = grammar.define(literal(f'{OPEN}call tool="')), grammar.define(literal(f'"{SEP}'))
    names = {name: grammar.define(literal(f'{escape(name)}" index="')) for name in arguments}
    after = close = grammar.define(closed("tools"))
    for index in reversed(range(first_index, first_index + most)):
        ways = " | ".join(f"{names[name]} {literal(str(index))} {end} {rule}" for name, rule in arguments.items())
        call = grammar.define(f"{begin} ({ways}) {after}")
        after = f"({call} | {close})"
    return f"{opened('tools')} {call}"


def rule(grammar: Grammar, schema: Schema, permuted: int) -> str:
    """The rule of a tool's arguments and the end of the call; up to ``permuted`` of them come in any order."""
    return _Arguments(grammar, schema, permuted).whole(schema, "")


class _Arguments:
    """The arguments of one tool, by its translated schema."""

    def __init__(self, grammar: Grammar, whole: Schema, permuted: int) -> None:
        self.grammar, self.permuted = grammar, permuted
        self.values = Values(grammar, whole, permuted)
        self.names: dict[str, str] = {}

    def whole(self, schema: Schema, path: str) -> str:
        """The rule of all arguments together."""
        if "$ref" in schema:
            return self._named(schema["$ref"].rsplit("/", 1)[1], path)
        if "enum" in schema:
            values: list[Mapping[str, object]] = writable(schema["enum"], self.grammar.guard)
            return self.grammar.define(" | ".join(map(self._listed, values)))
        if "anyOf" in schema:
            return self.grammar.define(" | ".join(dict.fromkeys(self.whole(part, path) for part in schema["anyOf"])))
        return self._object(schema, path)

    def _named(self, name: str, path: str) -> str:
        if name not in self.names:
            self.names[name] = self.grammar.fresh()
            self.grammar.define(self.whole(self.values.definitions[name], path), self.names[name])
        return self.names[name]

    def _listed(self, value: Mapping[str, object]) -> str:
        """One value that is listed as a whole, in its own order."""
        parts = [f"{self._key(name)} {self._typed({'enum': [item]}, '')}" for name, item in value.items()]
        begin = self._shared(ARGUMENT)
        return " ".join([*(f"{begin} {part}" for part in parts), self._shared(END_OF_CALL)])

    def _object(self, said: Schema, path: str) -> str:
        members = {
            name: self._argument(self._key(name), part, f"{path}/properties/{pointed(name)}")
            for name, part in said.get("properties", {}).items()
        }
        further = Members(said, members, self._further(said, path), len(members) <= self.permuted)
        series = Series(grammar=self.grammar, moves=further.moves, ends=further.ends, bracket='""',
                        commas=False)  # fmt: skip
        return self.grammar.define(f"{some(series.whole(further.start), path)} {self._shared(END_OF_CALL)}")

    def _key(self, name: str) -> str:
        return literal(f'"{escape(checked(name, self.grammar.guard))}"')

    def _argument(self, key: str, part: Schema | bool, path: str) -> str:
        return self.grammar.define(f"{self._shared(ARGUMENT)} {key} {self._typed(part, path)}")

    def _further(self, said: Schema, path: str) -> str | None:
        """The rule of an argument that is not declared."""
        asked = [(plain(pattern), part) for pattern, part in said.get("patternProperties", {}).items()]
        rest = said.get("additionalProperties", True)
        asked += [] if rest is False else [(self._any_key(), rest)]
        if asked and said.get("maxProperties") != 1:
            why = "an argument that is not declared may be written twice"
            self.grammar.limits.append(Limit(path=path, keyword=KEY_TWICE, reason=why))
        ways = [self._argument(self._other_key(pattern, f"{path}/*"), part, f"{path}/*") for pattern, part in asked]
        return self.grammar.define(" | ".join(ways)) if ways else None

    def _any_key(self) -> str:
        most = self.grammar.max_string
        return f"{one_of(ALL)}{'*' if most is None else f'{{0,{most}}}'}"

    def _other_key(self, pattern: str, path: str) -> str:
        return self.grammar.string({"pattern": respelled(pattern, _in_attribute)}, path, notation=ATTRIBUTE)

    def _typed(self, part: Schema | bool, path: str) -> str:
        """The rule of the type and the value of an argument, and its end."""
        ways = dict.fromkeys(self._ways(part, path, frozenset()))
        return self.grammar.define(" | ".join(self._of_kind(kind, value) for kind, value in ways))

    def _of_kind(self, kind: str, value: str) -> str:
        """A string has the last letter of the one marker and the first of the other about it."""
        begin, end = f' type="{kind}"{SEP}', close_tag("argument")
        if kind == "string":
            begin, end = begin.removesuffix(RAW.begin), end.removeprefix(RAW.end)
        return f"{self._shared(begin)} {value} {self._shared(end)}"

    def _ways(self, part: Schema | bool, path: str, seen: frozenset[str]) -> Iterator[tuple[str, str]]:
        """Each type that a value may have, with the rule of the value."""
        if not isinstance(part, dict) or not part:
            yield from self._any()
        elif "$ref" in part:
            name = part["$ref"].rsplit("/", 1)[1]
            if name not in seen:
                yield from self._ways(self.values.definitions[name], path, seen | {name})
        elif "enum" in part:
            yield from self._of_values(writable(part["enum"], self.grammar.guard))
        elif "anyOf" in part:
            for branch in part["anyOf"]:
                yield from self._ways(branch, path, seen)
        elif part["type"] == "string":
            yield "string", self._string(part, path)
        else:
            yield KINDS[part["type"]], self.values.node(part, path)

    def _any(self) -> Iterator[tuple[str, str]]:
        yield "string", self._string({}, "")
        yield "number", self.grammar.define(numbers.NUMBER)
        for kind in ("boolean", "null"):
            yield kind, self.values.node({"type": kind}, "")
        yield "array", self.values.any_of("array")
        yield "object", self.values.any_of("object")

    def _string(self, said: Schema, path: str) -> str:
        asked = {**said, "pattern": plain(said["pattern"])} if "pattern" in said else said
        return self.grammar.string(asked, path, self.grammar.max_string, RAW)

    def _of_values(self, values: list[object]) -> Iterator[tuple[str, str]]:
        by_kind: dict[str, list[str]] = {}
        for value in values:
            text = literal(f"{RAW.begin}{value}{RAW.end}") if isinstance(value, str) else self.grammar.listed(value)
            by_kind.setdefault(type_of(value), []).append(text)
        yield from ((kind, self.grammar.define(" | ".join(texts))) for kind, texts in by_kind.items())

    def _shared(self, text: str) -> str:
        """The rule of a text that stands in many places: each letter of a literal costs the engine a state."""
        return self.grammar.define(literal(text))


def _in_attribute(ranges: Ranges) -> str:
    """An expression for one of some characters in an attribute."""
    alone = without(ranges, [(ord(letter), ord(letter)) for letter in ESCAPED])
    ways = [one_of(alone)] if alone else []
    ways += [escape(letter) for letter in ESCAPED if holds(ranges, ord(letter))]
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"
