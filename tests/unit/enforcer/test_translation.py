import contextlib
import copy
import itertools
import json
import math
import random
import re
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from re import _parser as parser

import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from k2lab import engine
from k2lab.enforcer.schema import formats, patterns
from k2lab.enforcer.schema.finite import finite
from k2lab.enforcer.schema.translation import arguments, translate
from k2lab.errors import InputError
from tests.conftest import ROOT, SHARED
from tests.helpers.schemas import NULL, SCHEMAS, B, I, N, S, arr, exact, obj, p

WORKER = ROOT / "tests" / "helpers" / "grammar_worker.py"
WALLE = [
    (f"{file.stem} {line}", json.loads(text))
    for file in sorted((SHARED / "walle").glob("*.jsonl"))
    for line, text in enumerate(file.read_text().splitlines(), 1)
]
WORDS = [
    "",
    "a",
    "x",
    "ab",
    "x_1",
    "xy",
    "é",
    'q"',
    "a\\b",
    "a\nb",
    "日本語",
    "😀",
    "1",
    "ab12",
    "value-7",
    "red",
    "cat",
]
DEEPEST = 9
FREE = r"[\s\S]"


class TooDeep(Exception):
    pass


class Writer:
    """Writes JSON that a translated schema admits: keys in its order, and numbers in their plain spelling."""

    def __init__(self, schema, seed):
        self.schema, self.random = schema, random.Random(seed)

    def text(self):
        self.comma, self.colon = self.random.choice([(",", ":"), (", ", ": "), (",\n  ", ": ")])
        return self.write(self.schema, 0)

    def write(self, node, depth):
        if depth > DEEPEST:
            raise TooDeep
        if node is True or node == {}:
            return self.random.choice(["1", "-2.5e3", "null", "true", '"x\\n"', "[]", '{"k": [null]}'])
        if "$ref" in node:
            return self.write(self.schema["$defs"][node["$ref"].removeprefix("#/$defs/")], depth)
        if "enum" in node:
            return spell(self.random.choice(node["enum"]))
        if "anyOf" in node:
            return self.first_that_ends(node["anyOf"], depth)
        return getattr(self, node["type"])(node, depth)

    def first_that_ends(self, branches, depth):
        for branch in self.random.sample(branches, len(branches)):
            try:
                return self.write(branch, depth + 1)
            except TooDeep:
                continue
        raise TooDeep

    def null(self, node, depth):
        return "null"

    def boolean(self, node, depth):
        return self.random.choice(["true", "false"])

    def integer(self, node, depth):
        step = node.get("multipleOf", 1)
        low = node.get("minimum", node.get("maximum", 100) - 200)
        high = node.get("maximum", low + 300)
        return str(self.random.choice([low, high, self.random.randint(low, high)]) // step * step)

    def number(self, node, depth):
        low = node.get("minimum", node.get("exclusiveMinimum"))
        high = node.get("maximum", node.get("exclusiveMaximum"))
        if low is None and high is None:
            return self.random.choice(["0", "-1", "2.5", "1e3", "-1.5E-2", "123456789012345678901234567890"])
        low = Decimal(repr(low)) if low is not None else Decimal(repr(high)) - 7
        high = Decimal(repr(high)) if high is not None else low + 50
        if high - low > 10**12:
            return str(math.ceil(low) + 1)
        unit = Decimal(10) ** -self.random.choice([0, 1, 6, 6])
        if math.ceil(low / unit) > math.floor(high / unit):
            unit = Decimal(10) ** -6
        first, last = math.ceil(low / unit), math.floor(high / unit)
        open_ = [Decimal(repr(node[key])) for key in ("exclusiveMinimum", "exclusiveMaximum") if key in node]
        values = [place * unit for place in (first, last, self.random.randint(first, last))]
        values = [value for value in values if value not in open_] or [low + Decimal(10) ** -6]
        return f"{self.random.choice(values):f}"

    def string(self, node, depth):
        if "pattern" in node:
            return f'"{sample(node["pattern"], self.random)}"'
        if "minLength" in node or "maxLength" in node:
            least = node.get("minLength", 0)
            most = min(node.get("maxLength", least + 5), least + 40)
            return '"' + "".join(self.random.choices("aé <日😀", k=self.random.randint(least, most))) + '"'
        return json.dumps(self.random.choice(WORDS), ensure_ascii=self.random.random() < 0.5)

    def array(self, node, depth):
        front, rest = node.get("prefixItems", []), node.get("items", {})
        least = node.get("minItems", 0)
        most = len(front) if rest is False else max(least, len(front)) + (2 if depth < 5 else 0)
        count = self.random.randint(least, max(least, min(most, node.get("maxItems", most)))) if depth < 5 else least
        items = [self.write(item, depth + 1) for item in [*front, *[rest] * count][:count]]
        return f"[{self.comma.join(items)}]"

    def object(self, node, depth):
        declared, required = node.get("properties", {}), node.get("required", [])
        others = {**node.get("patternProperties", {})}
        if not others and node.get("additionalProperties", {}) is not False:
            others = {r"[a-zé]{1,3}": node.get("additionalProperties", {})}
        least, most = node.get("minProperties", 0), node.get("maxProperties", 99)
        optional = [name for name in declared if name not in required]
        room = most - len(required)
        need = max(0, least - len(required))
        taken = self.random.randint(min(need, len(optional)), min(room, len(optional))) if depth < 4 else 0
        taken = max(taken, min(need, len(optional)))
        names = {*required, *self.random.sample(optional, taken)}
        members = {
            json.dumps(name, ensure_ascii=False): self.write(declared[name], depth + 1)
            for name in declared
            if name in names
        }
        wanted = max(least - len(members), self.random.randint(0, 2) if depth < 4 else 0) if others else 0
        for _ in range(30):
            if wanted <= 0 or len(members) >= most:
                break
            pattern = self.random.choice(list(others))
            key = f'"{sample(pattern, self.random)}"'
            if key not in members:
                members[key] = self.write(others[pattern], depth + 1)
                wanted -= 1
        return "{" + self.comma.join(f"{key}{self.colon}{value}" for key, value in members.items()) + "}"


def spell(value):
    """A listed value as xgrammar writes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{spell(key)}:{spell(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spell, value)) + "]"
    if isinstance(value, float):
        return f"{value:.17g}" if value else "0"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def sample(pattern, rng):
    """A text that a translated pattern matches."""

    def items(parsed):
        return "".join(one(str(kind), value) for kind, value in parsed)

    def one(kind, value):
        if kind == "LITERAL":
            return chr(value)
        if kind == "IN":
            low, high = rng.choice([(v, v) if str(k) == "LITERAL" else v for k, v in value])
            return chr(rng.choice([low, high if high < 0xD800 else low, rng.randint(low, min(high, low + 60))]))
        if kind == "MAX_REPEAT":
            low, high, inner = value
            return "".join(items(inner) for _ in range(rng.randint(low, min(int(high), low + 3))))
        if kind == "BRANCH":
            return items(rng.choice(value[1]))
        if kind == "AT":
            return ""
        if kind == "NOT_LITERAL":
            return rng.choice([letter for letter in "aé >日😀" if ord(letter) != value])
        assert kind == "SUBPATTERN", kind
        return items(value[3])

    return items(parser.parse(pattern))


def changed(value, rng):
    """A value with one thing changed somewhere."""
    value = copy.deepcopy(value)
    places = [((), None)]

    def walk(item, holder):
        places.append(holder)
        for key, part in (
            list(item.items()) if isinstance(item, dict) else list(enumerate(item)) if isinstance(item, list) else []
        ):
            walk(part, (item, key))

    walk(value, ((), None))
    holder, key = rng.choice(places)
    item = holder[key] if key is not None else value
    new = rng.choice([other(item, rng), other(item, rng), rng.choice(ANYTHING)])
    if key is None:
        return new
    holder[key] = new
    return value


ANYTHING = [None, True, 0, 1, -1, 7, 2.5, 10**30, "", "x", "a b", [], [1], ["a", 1], {}, {"a": 1}, {"k": [1]}]


def other(item, rng):
    if isinstance(item, bool) or item is None:
        return rng.choice(ANYTHING)
    if isinstance(item, int | float):
        return rng.choice([item + 1, item - 1, -item, item * 1000 + 1, item / 2, item + 0.5, float(item), str(item)])
    if isinstance(item, str):
        return rng.choice(
            [item + "x", item[:-1], item * 3, item + "\n", item + '"', item.upper(), "0" + item, [item], 5]
        )
    if isinstance(item, list):
        return rng.choice([item[:-1], item + item, [*item, None], [*item, "x"], item[::-1], [item]])
    names = list(item)
    if names and rng.random() < 0.6:
        gone = rng.choice(names)
        less = {name: part for name, part in item.items() if name != gone}
        return rng.choice(
            [less, dict(reversed(item.items())), {**less, gone + "x": item[gone]}, {**less, gone: item[gone]}]
        )
    return {**item, rng.choice(["zz", "a", "b", "x_a", "n", "kind", "y", "é"]): rng.choice([1, "x", None, {}])}


def respelled(text, rng):
    """The same text with a key or a number written otherwise, or a key twice."""
    keys = re.findall(r'"(?:[^"\\]|\\.)*"(?=:)', text)
    if keys and rng.random() < 0.7:
        key = rng.choice(keys)
        if len(key) > 2 and key[1] != "\\" and ord(key[1]) < 0x10000 and rng.random() < 0.5:
            return text.replace(key, f'"\\u{ord(key[1]):04x}{key[2:]}', 1)
        return re.sub(r"\}$", lambda _: f", {key}: {rng.choice(['1', 'null', chr(34) * 2])}}}", text)
    return re.sub(r"(?<=[: ])(\d+)(?=[,}\]])", r"\g<1>.0", text, count=1)


@dataclass
class Case:
    name: str
    schema: object
    made: object
    judge: object
    written: list
    tried: list
    answer: dict = None

    def accepted(self, tried):
        start = len(self.written) if tried else 0
        texts = self.tried if tried else self.written
        return list(zip(texts, self.answer["accepted"][start : start + len(texts)], strict=True))

    def valid(self, text):
        return self.judge.is_valid(json.loads(text))


def case(name, schema):
    made = translate(schema)
    rng = random.Random(name)
    writer = Writer(made.schema, name)
    written = list(dict.fromkeys(writer.text() for _ in range(30)))
    values = [json.loads(text) for text in written]
    tried = [json.dumps(changed(rng.choice(values), rng), ensure_ascii=False) for _ in range(48)]
    tried += [respelled(rng.choice(written), rng) for _ in range(8)]
    tried += [json.dumps(value) for value in rng.sample(ANYTHING, 4)]
    judge = validator_for(schema, default=Draft202012Validator)(schema)
    return Case(name, schema, made, judge, written, list(dict.fromkeys(tried)))


@pytest.fixture(scope="module")
def cases():
    """Each schema with values, and what the grammar says of them: one process answers for all."""
    found = [case(name, schema) for name, schema in [*SCHEMAS, *WALLE]]
    asked = "\n".join(json.dumps({"schema": exact(c.made.schema), "texts": [*c.written, *c.tried]}) for c in found)
    python = engine.resolve("0.32.0").python
    done = subprocess.run([str(python), str(WORKER)], input=asked, capture_output=True, text=True, timeout=120)
    answers = done.stdout.splitlines()
    assert len(answers) == len(found), f"{found[len(answers)].name}: {done.stderr[-2000:]}"
    for one, answer in zip(found, answers, strict=True):
        one.answer = json.loads(answer)
    return found


@pytest.mark.live
def test_every_translated_schema_compiles_soon(cases):
    assert len(SCHEMAS) >= 120 and {one.name: one.answer["error"] for one in cases if "error" in one.answer} == {}
    assert {one.name: one.answer["compile_ms"] for one in cases if one.answer["compile_ms"] > 2000} == {}


@pytest.mark.live
def test_what_is_written_by_a_translated_schema_is_accepted_and_valid(cases):
    assert [(c.name, text) for c in cases for text, accepted in c.accepted(False) if not accepted] == []
    exact = [c for c in cases if not c.made.limits]
    assert [(c.name, text) for c in exact for text in c.written if not c.valid(text)] == []
    assert sum(len(c.written) for c in cases) > 3000


@pytest.mark.live
def test_nothing_invalid_is_accepted_but_where_a_limit_names_it(cases):
    wrong = []
    for one in cases:
        named = {limit.keyword for limit in one.made.limits}
        for text, accepted in one.accepted(True):
            if accepted and not named >= blamed(one.judge, json.loads(text), named):
                wrong.append((one.name, text, one.made.schema))
    assert wrong == []


def blamed(judge, value, named):
    """One keyword for each error: one that is named where there is one."""
    found = set()
    for error in judge.iter_errors(value):
        words = keywords(error)
        found.add(next(iter(words & named), error.validator))
    return found


def keywords(error):
    deeper = [word for part in error.context or () for word in keywords(part)]
    return {error.validator, *deeper, *filter(lambda part: isinstance(part, str), error.absolute_schema_path)}


@pytest.mark.live
def test_whatever_else_is_refused_has_a_reason(cases):
    reasons, unexplained = Counter(), []
    for one in cases:
        anchored = Draft202012Validator(anchor(one.made.schema))
        for text, accepted in one.accepted(True):
            if not accepted and one.valid(text):
                why = reason(one, text, anchored)
                reasons[why] += 1
                unexplained += [] if why else [(one.name, text, one.made.schema)]
    assert unexplained == []
    assert reasons["another key"] > 100 and reasons["order of keys"] > 20


NARROWED = {
    "additionalProperties": "another key",
    "pattern": "pattern in full",
    "type": "types that are implied",
    "minimum": "bounds within 64 bits",
    "maximum": "bounds within 64 bits",
    "enum": "numbers that are listed",
}


def reason(one, text, anchored):
    """Why a valid text is refused; ``None`` where nothing explains it."""
    value = json.loads(text)
    words = {word for error in anchored.iter_errors(value) for word in keywords(error)}
    if words:
        return next((why for word, why in NARROWED.items() if word in words), None)
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    if re.search(r"\.\d|\d[eE]|-0\b", outside):
        return "spelling of a number"
    if "\\" in text:
        return "escape in a string"
    if repeats_key(text):
        return "a key twice"
    if re.search(r"\d{19}", outside):
        return "number beyond 64 bits"
    if any(isinstance(listed, dict | list) for listed in listed_values(one.made.schema)):
        return "spelling of a listed value"
    if not in_order(value, list(property_orders(one.made.schema))):
        return "order of keys"
    return None


def anchor(schema):
    if isinstance(schema, list):
        return [anchor(part) for part in schema]
    if not isinstance(schema, dict) or "enum" in schema:
        return schema
    made = {key: anchor(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        made["properties"] = {name: anchor(part) for name, part in schema["properties"].items()}
    if isinstance(made.get("pattern"), str):
        made["pattern"] = whole(made["pattern"])
    if "patternProperties" in made:
        made["patternProperties"] = {whole(key): part for key, part in made["patternProperties"].items()}
    return made


def whole(pattern):
    """For a validator, which searches; the long set is written so that it compiles in no time."""
    return rf"\A(?:{pattern.replace(patterns.ANY, FREE)})\Z"


def repeats_key(text):
    repeated = []

    def pairs(found):
        repeated.append(len(dict(found)) < len(found))
        return dict(found)

    json.loads(text, object_pairs_hook=pairs)
    return any(repeated)


def property_orders(schema):
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield list(schema["properties"])
        yield from (list(value) for value in schema.get("enum", ()) if isinstance(value, dict))
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from property_orders(part)


def listed_values(schema):
    if isinstance(schema, dict) and "enum" in schema:
        yield from schema["enum"]
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from listed_values(part)


def in_order(value, orders):
    if isinstance(value, list):
        return all(in_order(item, orders) for item in value)
    if not isinstance(value, dict):
        return True
    ranked = [
        [order.index(k) if k in order else len(order) for k in value]
        for order in [*orders, []]
        if set(order) & set(value)
    ]
    return (not ranked or any(ranks == sorted(ranks) for ranks in ranked)) and all(
        in_order(v, orders) for v in value.values()
    )


def made(schema):
    """A translated schema that holds all of its original."""
    found = translate(schema)
    assert found.limits == ()
    return found.schema


def limits(schema):
    return {(limit.path, limit.keyword) for limit in translate(schema).limits}


def closed(properties, required=(), **more):
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needed, **more, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "properties": {}}, {"type": "object", "additionalProperties": False}),
        ({"type": "object"}, {"type": "object", "additionalProperties": {}}),
        (obj({"a": I}, ["a"]), closed({"a": I}, ["a"])),
        (obj({"a": I}, ["z"]), closed({"a": I, "z": {}}, ["z"])),
        ({"properties": {"a": True}}, closed({"a": {}})),
        (obj({"a": I, "b": False}), closed({"a": I})),
        ({"type": ["object", "null"], "properties": {"a": I}}, {"anyOf": [closed({"a": I}), {"type": "null"}]}),
        ({"minimum": 3}, {"type": "number", "minimum": 3}),
        (
            {"minLength": 2, "minimum": 3},
            {"anyOf": [{"type": "string", "minLength": 2}, {"type": "number", "minimum": 3}]},
        ),
        ({"type": ["integer", "number"]}, N),
        ({"type": "integer", "enum": [1, "a", 2.0, True]}, {"enum": [1, 2.0]}),
        ({"enum": [1, 2], "const": 2.0}, {"enum": [2.0]}),
        ({"enum": [0.5, 0.1, 2**80]}, {"anyOf": [{"enum": [0.5]}, {"type": "number", "minimum": 0.1, "maximum": 0.1}]}),
        (
            {"allOf": [{"type": "integer"}, {"minimum": 3}, {"minimum": 5, "maximum": 9}]},
            {"type": "integer", "minimum": 5, "maximum": 9},
        ),
        ({"allOf": [{"type": ["integer", "string"]}, {"type": ["number", "null"]}]}, I),
        ({"allOf": [{"enum": [1, True, "a"]}, {"enum": [1.0, "a"]}]}, {"enum": [1, "a"]}),
        (
            {"allOf": [obj({"a": I}, ["a"]), obj({"b": S, "a": {"minimum": 1}}, ["b"])]},
            closed({"a": {"type": "integer", "minimum": 1}, "b": S}, ["a", "b"]),
        ),
        ({"allOf": [obj({"a": I}, additionalProperties=False), obj({"b": S})]}, closed({"a": I})),
        (
            {"allOf": [arr(I), {"prefixItems": [{"minimum": 3}]}]},
            {"type": "array", "prefixItems": [{"type": "integer", "minimum": 3}], "items": I},
        ),
        (
            {"type": "integer", "anyOf": [{"minimum": 3}, {"maximum": -3}]},
            {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "integer", "maximum": -3}]},
        ),
        (
            {**obj({"a": I, "b": S}), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"anyOf": [closed({"a": I, "b": S}, ["a"]), closed({"a": I, "b": S}, ["b"])]},
        ),
        ({"anyOf": [I, False]}, I),
        ({"anyOf": [I, S], "allOf": [{"anyOf": [{"type": "integer"}, {"type": "null"}]}]}, I),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": "array", "maxItems": 3}, {"type": "array", "items": {}, "maxItems": 3}),
        ({"type": "array", "prefixItems": [I, S]}, {"type": "array", "prefixItems": [I, S], "items": {}}),
        (
            {"type": "array", "prefixItems": [I, S, B], "maxItems": 2},
            {"type": "array", "prefixItems": [I, S], "items": False},
        ),
        ({"type": "array", "prefixItems": [I, False]}, {"type": "array", "prefixItems": [I], "items": False}),
        (
            {"type": "array", "prefixItems": [I], "unevaluatedItems": S},
            {"type": "array", "prefixItems": [I], "items": S},
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "array",
                "items": [I],
                "additionalItems": False,
            },
            {"type": "array", "prefixItems": [I], "items": False},
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "type": "integer",
                "minimum": 0,
                "exclusiveMinimum": True,
            },
            {"type": "integer", "minimum": 1},
        ),
        (obj({"a": I}, allOf=[obj({"b": S})], unevaluatedProperties=False), closed({"a": I, "b": S})),
        (obj({"a": I}, allOf=[{"properties": {"b": S}, "unevaluatedProperties": False}]), closed({"b": S})),
        (
            {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": I},
            closed({"a": I, "b": I}),
        ),
        (
            {"type": "integer", "exclusiveMinimum": 1.5, "maximum": 1e30},
            {"type": "integer", "minimum": 2, "maximum": 2**63 - 1},
        ),
        ({"type": "integer", "multipleOf": 5, "minimum": 1, "maximum": 20}, {"enum": [5, 10, 15, 20]}),
        ({"type": "number", "multipleOf": 2}, {"type": "integer", "multipleOf": 2}),
        ({"type": "number", "minimum": 5, "exclusiveMinimum": 5}, {"type": "number", "exclusiveMinimum": 5}),
        ({"type": "number", "minimum": 2**53 + 1}, {"type": "number", "minimum": 2**53 + 2}),
        ({"type": "string", "format": "color"}, S),
        ({"type": "string", "format": "uuid"}, {"type": "string", "pattern": formats.whole("uuid").text}),
        (
            {"type": "string", "format": "date", "minLength": 1, "maxLength": 10},
            {"type": "string", "pattern": formats.whole("date").text},
        ),
        (
            {"type": "string", "pattern": "^[a-z]{2,3}$", "minLength": 2},
            {"type": "string", "pattern": "(?:[a-z]){2,3}"},
        ),
        ({"$ref": "#/$defs/x", "$defs": {"x": I}}, {"$ref": "#/$defs/d0", "$defs": {"d0": I}}),
        (
            {**p({"$ref": "#/$defs/x", "minimum": 5}), "$defs": {"x": I}},
            {**closed({"p": {"$ref": "#/$defs/d0"}}, ["p"]), "$defs": {"d0": {"type": "integer", "minimum": 5}}},
        ),
        ({"oneOf": [{"const": "a", "title": "A"}, {"const": "b"}]}, {"anyOf": [{"enum": ["a"]}, {"enum": ["b"]}]}),
        (
            {**obj({"a": I, "n": {"$ref": "#/$defs/n"}}), "$defs": {"n": obj({"n": {"$ref": "#/$defs/n"}}, ["n"])}},
            closed({"a": I}),
        ),
        (
            {**arr({"$ref": "#/$defs/n"}), "$defs": {"n": arr({"$ref": "#/$defs/n"}, minItems=1)}},
            {"type": "array", "items": False},
        ),
        (
            obj({"a": obj({"x": I, "y": I}), "b": obj({"y": I, "x": I})}),
            closed({"a": closed({"x": I, "y": I}), "b": closed({"y": I, "x": I})}),
        ),
    ],
)
def test_what_has_an_equal_form_is_rewritten(schema, expected):
    assert made(schema) == expected


def test_keys_stand_in_the_order_in_which_they_are_declared():
    schema = obj({"b": I, "a": I}, ["z"], allOf=[obj({"c": I, "b": {"minimum": 1}})])
    assert list(made(schema)["properties"]) == ["b", "a", "c", "z"]


def test_other_keys_are_told_from_the_declared_ones():
    schema = made(obj({"a": I, "é": I, 'q"': I}, additionalProperties=S))
    [(pattern, value)] = schema["patternProperties"].items()
    assert value == S and schema["additionalProperties"] is False
    for key in ("", "b", "ab", "é ", "aa"):
        assert re.fullmatch(pattern, key)
    for key in ("a", "é", 'q"', "\\u0061"):
        assert not re.fullmatch(pattern, key)


@pytest.mark.parametrize(
    ("keyword", "schema"),
    [
        ("not", {"type": "string", "not": {"const": "a"}}),
        ("if", {"type": "string", "if": {"minLength": 3}, "then": {"pattern": "^a"}}),
        ("dependentRequired", obj({"a": I}, dependentRequired={"a": ["b"]})),
        ("dependentSchemas", obj({"a": I}, dependentSchemas={"a": {"required": ["b"]}})),
        ("uniqueItems", arr(I, uniqueItems=True)),
        ("contains", arr(I, contains={"minimum": 3})),
        ("$dynamicRef", {"$dynamicRef": "#x"}),
        ("propertyNames", obj({"a": I}, propertyNames={"maxLength": 2}, additionalProperties=True)),
        ("multipleOf", {"type": "number", "multipleOf": 0.5}),
        ("multipleOf", {"type": "integer", "multipleOf": 5, "minimum": 0}),
        ("minimum", {"type": "integer", "minimum": 2**63}),
        ("minLength", {"type": "string", "minLength": 10**6}),
        ("maxLength", {"type": "string", "maxLength": 3, "pattern": "^a+b+$"}),
        ("minProperties", {"type": "object", "minProperties": 2}),
        ("maxProperties", obj({f"p{i}": I for i in range(20)}, maxProperties=3)),
        ("patternProperties", obj({"xa": S}, patternProperties={"^x": I})),
        ("patternProperties", {"type": "object", "patternProperties": {"a": S, "b": I}}),
        ("patternProperties", {"type": "object", "patternProperties": {"(?=a)": S}}),
        (
            "additionalProperties",
            {"allOf": [obj({"a": I}, additionalProperties=False), {"patternProperties": {"^x": I}}]},
        ),
        ("additionalProperties", obj({"a" * 100: I}, additionalProperties=S)),
        (
            "unevaluatedProperties",
            {"allOf": [{"anyOf": [obj({"a": I})], "unevaluatedProperties": False}, obj({"b": I})]},
        ),
        ("oneOf", {"oneOf": [I, N]}),
        ("oneOf", {"oneOf": [{"const": 1}, {"const": 1.0}]}),
        ("oneOf", {"type": "object", "oneOf": [{"properties": {"a": I}}, {"properties": {"b": I}}]}),
    ],
)
def test_what_is_not_held_is_named_with_its_place(keyword, schema):
    assert limits(schema) == {("", keyword)} or keyword == "unevaluatedProperties"
    assert ("/properties/a~1b/items", keyword) in limits(obj({"a/b": arr(schema)}))
    assert keyword in str(translate(schema).limits[0])


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "uniqueItems": True},
        arr(I, uniqueItems=False),
        {**S, "if": {"minLength": 2}},
        obj({}, dependentRequired={}),
        {"enum": ["a", "b"], "not": {"const": "b"}},
        {"oneOf": [S, {"type": "null"}]},
        {"oneOf": [obj({"k": {"const": "a"}}, ["k"]), obj({"k": {"enum": ["b", "c"]}}, ["k"])]},
        {"oneOf": [obj({"k": I}, ["k"]), obj({"k": S}, ["k"])]},
        {"oneOf": [obj({"a": I}, ["a"]), obj({"b": I}, ["b"])]},
        {
            "type": "object",
            "required": ["k"],
            "oneOf": [{"properties": {"k": {"const": "a"}}}, {"properties": {"k": {"const": "b"}}}],
        },
        {"oneOf": [{"enum": ["a"]}, {"type": "string", "minLength": 2}]},
    ],
)
def test_what_says_nothing_more_is_no_limit(schema):
    assert limits(schema) == set()


@pytest.mark.parametrize(
    ("pattern", "expected", "shortest", "longest"),
    [
        ("^ab$", "ab", 2, 2),
        ("^a", "aX*", 1, None),
        ("a$", "X*a", 1, None),
        ("a", "X*aX*", 1, None),
        ("", "X*", 0, None),
        ("^a|b$", "(?:aX*|X*b)", 1, None),
        ("^(ab|c)$", "(?:ab|c)", 1, 2),
        ("(^a$)|^bb$", "(?:a|bb)", 1, 2),
        ("^ab?$", "a(?:b)?", 1, 2),
        ("^a{0}(?:b|cc){1}$", "(?:b|cc)", 1, 2),
        ("^(a|bc?)+?$", "(?:(?:a|b(?:c)?))+", 1, None),
        ("^a{2,}b{,3}$", "(?:a){2,}(?:b){0,3}", 2, None),
        ("(^|,)a(,|$)", "(?:a,X*|a|X*,a,X*|X*,a)", 1, None),
        ("^(a|(b|^c))$", "(?:a|b|c)", 1, 1),
        ("^[ab]{2,9}\\d$", "(?:[a-b]){2,9}[0-9]", 3, 10),
        ("^[^b-\U0010fffe]$", '(?:[ -!#-\\[\\]-a\U0010ffff]|\\\\["\\\\bfnrt])', 1, 1),
        ('^"[\\\\a]\\n$', '\\\\"(?:a|\\\\\\\\)\\\\n', 3, 3),
        ("^\\x1b$", "\\\\u001b", 1, 1),
        ("^[<a]<$", "[<a]<", 2, 2),
        ("^\\.\\x41\\/$", "\\.A\\/", 3, 3),
    ],
)
def test_a_pattern_is_written_for_whole_texts(pattern, expected, shortest, longest):
    whole = patterns.whole(pattern)
    assert (whole.text.replace(patterns.ANY, "X"), whole.shortest, whole.longest) == (expected, shortest, longest)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?=a)b", "assert"),
        ("(a)\\1", "groupref"),
        ("\\bab", "at"),
        ("(?i)a", "flags"),
        ("(?i:a)", "flags"),
        ("x(^a|b)", "at"),
        ("a{600}", "600 characters with its repetitions written out, at most 512"),
        ("((a{40}b){40}|c){40}", "65640 characters"),
        ("a{4000000000,}", "at most 512"),
        ("[a-z]" * 2000, "10000 characters long, at most 8192"),
        ("(^|aa|bb|cc|dd|ee|ff|gg|hh)x($|aa|bb|cc|dd|ee|ff|gg|hh)", "64 choices around anchors"),
        ("([", "unterminated"),
    ],
)
def test_a_pattern_that_cannot_be_held_says_why(pattern, why):
    with pytest.raises(patterns.Unfollowed, match=why):
        patterns.whole(pattern)


def test_what_never_ends_is_taken_out():
    endless, ends = {"$ref": "#/$defs/n"}, {"$ref": "#/$defs/l"}
    definitions = {
        "n": obj({"n": endless}, ["n"]),
        "l": obj({"next": {"anyOf": [endless, ends, I]}, "all": arr(endless), "n": endless}, ["next"]),
        "unused": I,
    }
    kept, root = finite(definitions, {"anyOf": [endless, ends]})
    assert root == ends
    assert kept == {"l": obj({"next": {"anyOf": [ends, I]}, "all": arr(False)}, ["next"])}
    assert finite(definitions, arr(endless, minItems=1)) == ({}, False)
    assert finite(
        {"m": {"type": "object", "additionalProperties": {"$ref": "#/$defs/m"}, "minProperties": 1}},
        {"$ref": "#/$defs/m"},
    ) == ({}, False)


def deep(levels, wrap):
    schema = I
    for _ in range(levels):
        schema = wrap(schema)
    return schema


def defined(schema, **definitions):
    return {**p(schema), "$defs": definitions}


def ref(name):
    return {"$ref": f"#/$defs/{name}"}


def pairs_of_references(wrap, levels=25):
    return {f"d{i}": wrap(ref(f"d{i + 1}"), ref(f"d{i + 1}")) for i in range(levels)} | {f"d{levels}": I}


REFUSED = {
    "type dict": (p({"type": "dict"}), "the schema is none: .*'dict'"),
    "no schema": ([1], "must be an object or a boolean, not list"),
    "$ref missing": (p(ref("x")), r"/properties/p \$ref: '#/\$defs/x' is not there"),
    "$ref remote": (p({"$ref": "https://example.com/x"}), "only references within the schema"),
    "$ref to a list": (p({"$ref": "#/required"}), "the schema is none"),
    "$ref to no schema": ({**p({"$ref": "#/x-y"}), "x-y": {"type": 5}}, "the schema is none"),
    "$ref to itself": (defined(ref("a"), a=ref("a")), "refers to itself"),
    "$ref circular": (
        defined(ref("a"), a={**ref("b"), "minimum": 1}, b={**ref("a"), "maximum": 2}),
        "refers to itself",
    ),
    "allOf circular": (defined(ref("a"), a={"allOf": [ref("a"), I]}), "refers to itself"),
    "never ending": (defined(ref("a"), a=obj({"n": ref("a")}, ["n"])), "never ends"),
    "enum empty": (p({"enum": []}), "/properties/p lists no value"),
    "enum of another type": (p({"enum": ["a"], "type": "integer"}), "/properties/p lists no value"),
    "enum checked by a missing $ref": (p({"enum": [1], **ref("x")}), "does not exist"),
    "enum checked in a circle": (defined({"enum": [1], **ref("a")}, a=ref("a")), "cannot be checked"),
    "false": (False, "/ is false"),
    "required false": (obj({"a": False}, ["a"]), "/properties/a is false"),
    "bounds": (p({"type": "integer", "minimum": 5, "maximum": 1}), "/properties/p has bounds that no integer"),
    "narrow bounds": (p({"type": "number", "exclusiveMinimum": 5, "maximum": 5}), "no number is within"),
    "no multiple": (p({"type": "integer", "multipleOf": 5, "minimum": 1, "maximum": 4}), "no integer is within"),
    "lengths": (p({"type": "string", "minLength": 5, "maxLength": 1}), "no string is within"),
    "items": (p(arr(I, minItems=3, maxItems=1)), "no array is within"),
    "items without end": (p(arr(I, minItems=10**12)), "no array is within"),
    "too many properties asked for": (obj({"a": I}, minProperties=2), "no object is within"),
    "required beyond maxProperties": (obj({"a": I}, ["a"], maxProperties=0), "no object is within"),
    "types apart": (p({"allOf": [I, S]}), "admits no type"),
    "draft 3": ({"$schema": "http://json-schema.org/draft-03/schema#", "type": "object"}, "too old"),
    "not a number": (p({"enum": [math.nan]}), "no JSON: it has the number nan"),
    "infinite": (p({"maximum": math.inf}), "no JSON"),
    "surrogate": (p({"enum": ["\ud800"]}), "no Unicode"),
    "tuple": (p({"enum": (1,)}), "has a tuple"),
    "$id within": (defined({"$id": "https://example.com/x", "items": ref("x")}, x=I), "'#/.*/x' is not there"),
    "deep 200": (deep(200, lambda s: obj({"x": s}, ["x"])), "80 levels"),
    "deep 2000": (deep(2000, arr), "80 levels"),
    "deep 100000": (deep(100_000, lambda s: {"not": s}), "80 levels"),
    "deep 23 of two levels": (deep(23, lambda s: obj({"x": s}, ["x"])), "nests 47 levels of JSON"),
    "deep 30": (deep(30, arr), "24 levels"),
    "5000 properties": (obj({f"p{i}": S for i in range(5000)}), "2000 objects and lists"),
    "enum of 20000": (p({"enum": list(range(20_000))}), "10000 values"),
    "anyOf doubling": (p(deep(12, lambda s: {"anyOf": [s, arr(s)]})), "2000 objects and lists"),
    "anyOf multiplying": (
        {"allOf": [{"anyOf": [{"required": [f"a{i}"]}, {"required": [f"b{i}"]}]} for i in range(14)]},
        "2000 parts",
    ),
    "enum checked by 2^25 references": (
        defined({**ref("d0"), "enum": ["a"]}, **pairs_of_references(lambda a, b: {"anyOf": [a, b]})),
        "5000 times",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_translated_is_refused_soon_in_one_line(name):
    schema, said = REFUSED[name]
    began = time.perf_counter()
    with pytest.raises(InputError, match=said) as refused:
        translate(schema)
    assert time.perf_counter() - began < 3 and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "schema",
    [
        defined(ref("d0"), **pairs_of_references(lambda a, b: obj({"a": a, "b": b}, ["a", "b"]))),
        defined(ref("d0"), **pairs_of_references(lambda a, b: {"anyOf": [a, b]})),
        defined(ref("d0"), **pairs_of_references(lambda a, b: {"allOf": [a, b, {"minimum": 1}]}, 20)),
        defined(
            ref("a"),
            a=obj({"c": {"allOf": [ref("a"), ref("b")]}}),
            b=obj({"c": {"allOf": [ref("b"), obj({"c": ref("a")})]}}),
        ),
        p({"type": "string", "minLength": 10**6}),
        p({"type": "string", "pattern": "^" + "(" * 90 + "a" + ")?" * 90 + "$"}),
        obj({f"p{i}": S for i in range(1500)}, additionalProperties=True),
        obj({f"q{i}": S for i in range(400)}, patternProperties={f"^p{i}": I for i in range(400)}),
        p({"type": "string", "enum": [f"v{i}" for i in range(10_000)]}),
        {"oneOf": [obj({"k": {"const": f"v{i}"}}, ["k"]) for i in range(300)]},
        p(deep(8, lambda s: {"anyOf": [s, arr(s)]})),
    ],
)
def test_what_is_large_is_translated_soon(schema):
    began = time.perf_counter()
    translate(schema)
    assert time.perf_counter() - began < 3


OBJECT = {"type": "object", "additionalProperties": {}}


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        (True, OBJECT),
        ({}, OBJECT),
        ({"description": "nothing"}, OBJECT),
        ({"type": ["object", "string"]}, OBJECT),
        ({"type": ["null", "object"], "properties": {"a": I}}, closed({"a": I})),
        ({"properties": {"a": I}, "minLength": 3}, closed({"a": I})),
        ({"anyOf": [S, obj({"a": I}), NULL]}, closed({"a": I})),
        ({"oneOf": [obj({"a": I}, ["a"]), arr(I)]}, closed({"a": I}, ["a"])),
        ({"allOf": [{"type": ["object", "string"]}, {"properties": {"a": I}}]}, closed({"a": I})),
        ({"enum": [1, {"a": 1}, "x"]}, {"enum": [{"a": 1}]}),
        (
            {"$ref": "#/$defs/x", "$defs": {"x": {"anyOf": [obj({"a": I}), S]}}},
            {"$ref": "#/$defs/d0", "$defs": {"d0": closed({"a": I})}},
        ),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/x", "definitions": {"x": {}}},
            {"$ref": "#/$defs/d0", "$defs": {"d0": OBJECT}},
        ),
    ],
)
def test_arguments_are_an_object_whatever_else_a_root_admits(root, expected):
    assert arguments(root).schema == expected


def test_a_root_within_itself_is_narrowed_at_the_root_alone():
    found = arguments({"type": ["object", "string"], "properties": {"n": {"$ref": "#"}}}).schema
    inner = found["properties"]["n"]["$ref"].removeprefix("#/$defs/")
    assert {branch["type"] for branch in found["$defs"][inner]["anyOf"]} == {"object", "string"}


@pytest.mark.parametrize("root", [False, S, arr(I), {"enum": [1, "a"]}, {"anyOf": [S, NULL]}, {"const": None}])
def test_a_root_that_no_object_fits_is_refused(root):
    with pytest.raises(InputError, match="no object, which arguments always are, fits the schema: /"):
        arguments(root)


HERE = "https://example.com/schemas/tool.json"


@pytest.mark.parametrize(
    "reference",
    [
        "#/$defs/x",
        f"{HERE}#/$defs/x",
        "tool.json#/$defs/x",
        "/schemas/tool.json#/$defs/x",
        "#x",
        f"{HERE}#x",
        "../schemas/./tool.json#x",
        "#/%24defs/x",
    ],
)
def test_a_reference_is_resolved_against_the_identifier_around_it(reference):
    schema = {"$id": HERE, **p({"$ref": reference}), "$defs": {"x": {"$anchor": "x", **I}}}
    assert made(schema)["$defs"] == {"d0": I}


@pytest.mark.parametrize("reference", ["#", HERE, "tool.json", f"{HERE}#", ""])
def test_a_reference_to_the_root_comes_upon_itself(reference):
    found = made({"$id": HERE, **obj({"v": I, "child": {"$ref": reference}}, ["v"])})
    child = found["properties"]["child"]
    assert found["$defs"][child["$ref"].removeprefix("#/$defs/")]["properties"]["child"] == child


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {
                **p({"$ref": "item.json"}),
                "$defs": {"i": {"$id": "item.json", **arr({"$ref": "#/$defs/t"}), "$defs": {"t": I}}},
            },
            [I],
        ),
        ({**p({"$ref": "#x"}), "$defs": {"a": {"$dynamicAnchor": "x", **I}}}, [I]),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                **p({"$ref": "#x"}),
                "definitions": {"a": {"$id": "#x", **I}},
            },
            [I],
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "id": HERE,
                **p({"$ref": "tool.json#x"}),
                "definitions": {"a": {"id": "#x", **I}},
            },
            [I],
        ),
        (
            {
                "$id": HERE,
                "$ref": "more/a.json",
                "$defs": {"a": {"$id": "more/a.json", "$ref": "./b.json"}, "b": {"$id": "more/b.json", **I}},
            },
            [I],
        ),
        ({"$id": "http://[", **p({"$ref": "#/$defs/x"}), "$defs": {"x": I}}, [I]),
        ({"$id": "urn:example:tool", **p({"$ref": "urn:example:tool#/$defs/x"}), "$defs": {"x": I}}, [I]),
        (obj({"$id": S, "p": {"$ref": "#/properties/$id"}}), [S]),
        (
            {**p({"$ref": "#/$defs/x"}), "$defs": {"x": {"enum": [{"$id": "q", "$ref": "r"}]}}},
            [{"enum": [{"$id": "q", "$ref": "r"}]}],
        ),
    ],
)
def test_identifiers_and_anchors_are_those_of_the_draft(schema, expected):
    found = list(made(schema)["$defs"].values())
    assert [item for item in found if item in expected] == expected


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("other.json", "only references within the schema can be followed, not 'other.json'"),
        ("https://example.com/x", "only references within"),
        ("#nowhere", "no part of the schema has the anchor '#nowhere'"),
        ("tool.json#nowhere", "only references within"),
        ("#/$defs/q", "'#/\\$defs/q' is not there"),
    ],
)
def test_a_reference_that_leads_out_of_the_document_says_where_to(reference, said):
    with pytest.raises(InputError, match=said):
        translate({"$id": HERE, **p({"$ref": reference}), "$defs": {}})


def test_an_object_within_a_part_with_an_identifier_is_not_looked_up_from_the_root():
    inner = {"$id": "inner.json", **arr({"$ref": "#/$defs/x"})}
    with pytest.raises(InputError, match="is not there"):
        translate({**p({"$ref": "#/$defs/i"}), "$defs": {"i": inner, "x": I}})


MANY = "^$|(^(?:\\S+\\s+){0,99}\\S+$)"


def test_patterns_grow_with_their_source_alone_and_are_bounded_together():
    assert len(patterns.whole(MANY).text) < 300
    assert limits(obj({f"p{i}": {"type": "string", "pattern": MANY} for i in range(20)})) == set()
    words = {f"p{i}": {"type": "string", "pattern": f"^(?:\\S+\\s+){{0,{199 - i}}}\\S+$"} for i in range(20)}
    found = translate(obj(words))
    assert 0 < len(found.limits) < 20 and {limit.keyword for limit in found.limits} == {"pattern"}
    assert "patterns would have" in found.limits[0].reason and len(json.dumps(found.schema)) < 8192


@pytest.mark.parametrize(
    "pattern",
    ["(((a{30}){30}){30}){30}", "(a|b|c|d){9}" * 60, "[^\\W\\d_]" * 700, "(?:(?:x?y?z?){50}){50}", "\\D{600}"],
)
def test_a_pattern_that_would_be_large_is_named_at_once_and_not_built(pattern):
    began = time.perf_counter()
    found = translate(obj({"p": {"type": "string", "pattern": pattern}, "q": {"patternProperties": {pattern: I}}}))
    assert {limit.keyword for limit in found.limits} == {"pattern", "patternProperties"}
    assert all("at most 512" in limit.reason and len(str(limit)) < 400 for limit in found.limits)
    assert time.perf_counter() - began < 0.5


def test_sets_of_many_characters_are_written_at_once():
    began = time.perf_counter()
    letters = "".join(chr(0x4E00 + 2 * i) for i in range(2000))
    for pattern in ("[^\\d]" * 500, f"[^{letters}]{{3}}", f"[{letters}]", "\\W" * 400, "[^\\s\\d\\w]" * 300):
        patterns.whole(pattern)
    assert patterns.whole("^[\ud7ff-\udc00]$").text == "\ud7ff"
    with pytest.raises(patterns.Unfollowed, match="without a character"):
        patterns.whole("[\\ud800-\\udfff]")
    assert time.perf_counter() - began < 1


def test_a_format_that_comes_often_counts_once():
    text = {"type": "string", "format": "iri-reference"}
    assert len(translate(obj({f"p{i}": text for i in range(200)})).schema["properties"]) == 200


def test_names_to_tell_others_from_count_among_the_patterns():
    names = [{f"{place}{i:02}{'x' * 20}": I for i in range(50)} for place in "abcdefgh"]
    found = translate(obj({f"o{i}": obj(some, additionalProperties=S) for i, some in enumerate(names)}))
    assert {limit.keyword for limit in found.limits} == {"additionalProperties"} and 0 < len(found.limits) < 8


def test_a_schema_too_large_as_a_grammar_is_refused_with_its_size():
    with pytest.raises(InputError, match="the schema takes 488 KiB as the grammar follows it, at most 256"):
        translate(p({"enum": [f"{i:04}" + "x" * 100_000 for i in range(5)]}))


LETTERS = ["a", "b", '"', "\\", "\n", "<", "é"]
TEXTS = ["".join(text) for length in range(4) for text in itertools.product(LETTERS, repeat=length)]
PARTS = ["a", "b", "ab", "[ab]", "[^a]", ".", "\\s", "\\S", '"', "\\\\", '["<]', "\\w", "é"]


def some_pattern(rng, depth):
    """A pattern of any form that is held, with anchors at its ends or not."""
    kind = rng.choice(["part", "two", "or", "repeat", "repeat"]) if depth else "part"
    if kind == "part":
        return rng.choice(PARTS)
    one, two = some_pattern(rng, depth - 1), some_pattern(rng, depth - 1)
    if kind == "repeat":
        return f"(?:{one}){rng.choice(['?', '*', '+', '{2}', '{1,2}', '{,3}', '{2,}', '{0}'])}"
    return f"({rng.choice(['', '^'])}{one}|{two}{rng.choice(['', '$', '|'])})" if kind == "or" else one + two


def random_patterns(count):
    rng = random.Random(9)
    for _ in range(count):
        pattern = rng.choice(["", "^"]) + some_pattern(rng, 4) + rng.choice(["", "$"])
        with contextlib.suppress(patterns.Unfollowed):
            yield pattern, patterns.whole(pattern)


def as_javascript(pattern):
    """What both languages find: there a dollar is no line's end, and a word has ASCII alone."""
    return re.compile(pattern.replace("$", "\\Z"), re.ASCII)


def spelled(text):
    return json.dumps(text, ensure_ascii=False)[1:-1]


def test_a_pattern_for_whole_texts_matches_where_the_original_is_found_and_nowhere_else():
    found = list(random_patterns(800))
    assert len(found) > 500
    for pattern, whole in found:
        original, written = as_javascript(pattern), re.compile(whole.text)
        for text in random.Random(pattern).sample(TEXTS, 50):
            wanted = original.search(text) is not None
            assert bool(written.fullmatch(spelled(text))) == wanted, (pattern, text)
            if wanted:
                assert re.search(pattern, text)
                assert whole.shortest <= len(text) <= (len(text) if whole.longest is None else whole.longest)


@pytest.mark.live
def test_the_engine_holds_a_pattern_exactly(accepted):
    for pattern, whole in random_patterns(100):
        schema = exact({"type": "string", "pattern": whole.text})
        texts = random.Random(pattern).sample(TEXTS, 40)
        tag = {"type": "structural_tag", "format": {"type": "json_schema", "json_schema": schema}}
        found = accepted(tag, [f'"{spelled(text)}"' for text in texts])
        assert found == [as_javascript(pattern).search(text) is not None for text in texts], pattern


@pytest.mark.parametrize(
    ("pattern", "least", "most", "expected"),
    [
        ("^[a-z]+$", 3, 9, "(?:[a-z]){3,9}"),
        ("^[a-z][a-z0-9]*$", 0, 63, "[a-z](?:[0-9a-z]){0,62}"),
        ("^(a{2,}bb)$", 6, None, "(?:a){4,}bb"),
        ("^(?:a{2,5})$", 3, 4, "(?:a){3,4}"),
        ("^ab$", 1, 3, "ab"),
        ("^a*$", 1, 600, None),
        ("^a+b+$", 0, 9, None),
        ("^(ab)+$", 0, 9, None),
        ("^a+", 0, 9, None),
        ("^a{5}b*$", 0, 3, None),
    ],
)
def test_a_length_beside_a_pattern_bounds_its_one_repetition(pattern, least, most, expected):
    bounds = {"minLength": least} | ({} if most is None else {"maxLength": most})
    found = translate({"type": "string", "pattern": pattern, **bounds})
    if expected is None:
        assert found.schema["pattern"] == patterns.whole(pattern).text and found.limits
    else:
        assert found.schema["pattern"] == expected and not found.limits


def test_a_pattern_that_goes_back_and_forth_holds_nothing_up():
    began = time.perf_counter()
    endless, name = "^(a+)+$", "a" * 60 + "!"
    assert list(made({**obj({name: I}), "patternProperties": {endless: S}})["properties"]) == [name]
    assert made(p({"type": "string", "pattern": endless, "enum": [name, "aa"]}))["properties"]["p"] == {"enum": ["aa"]}
    assert time.perf_counter() - began < 1
