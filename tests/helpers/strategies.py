"""Strategies for the tests of translation: schemas, patterns, JSON that a schema admits, and JSON that is not quite."""

import json
import math
import re
from decimal import Decimal

from hypothesis import strategies as st

from k2lab.enforcer.schema.ecma262 import Choice, Repeat, Set, read

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
ANY_JSON = ["null", "true", "1", "-2.5e3", '"x\\n"', "[]", '{"k": [null]}']
ANY_NUMBER = ["0", "-1", "2.5", "1e3", "-1.5E-2", "123456789012345678901234567890"]
DEEPEST = 9


class TooDeep(Exception):
    pass


def texts(schema):
    """JSON that a translated schema admits: keys in its order, and numbers in their plain spelling."""
    return st.composite(lambda draw: _Writing(schema, draw).text())()


class _Writing:
    def __init__(self, schema, draw):
        self.schema, self.draw = schema, draw

    def one_of(self, values):
        return self.draw(st.sampled_from(values))

    def between(self, low, high):
        return self.draw(st.integers(low, high))

    def text(self):
        self.comma, self.colon = self.one_of([(",", ":"), (", ", ": "), (",\n  ", ": ")])
        return self.write(self.schema, 0)

    def write(self, node, depth):
        if depth > DEEPEST:
            raise TooDeep
        if node is True or node == {}:
            return self.one_of(ANY_JSON)
        if "$ref" in node:
            return self.write(self.schema["$defs"][node["$ref"].removeprefix("#/$defs/")], depth)
        if "enum" in node:
            return spell(self.one_of(node["enum"]))
        if "anyOf" in node:
            return self.first_that_ends(node["anyOf"], depth)
        return getattr(self, node["type"])(node, depth)

    def first_that_ends(self, branches, depth):
        first = self.between(0, len(branches) - 1)
        for branch in [*branches[first:], *branches[:first]]:
            try:
                return self.write(branch, depth + 1)
            except TooDeep:
                continue
        raise TooDeep

    def null(self, node, depth):
        return "null"

    def boolean(self, node, depth):
        return self.one_of(["true", "false"])

    def integer(self, node, depth):
        step = node.get("multipleOf", 1)
        low = node.get("minimum", node.get("maximum", 100) - 200)
        high = node.get("maximum", low + 300)
        return str(self.draw(st.just(low) | st.just(high) | st.integers(low, high)) // step * step)

    def number(self, node, depth):
        low = node.get("minimum", node.get("exclusiveMinimum"))
        high = node.get("maximum", node.get("exclusiveMaximum"))
        if low is None and high is None:
            return self.one_of(ANY_NUMBER)
        low = Decimal(repr(low)) if low is not None else Decimal(repr(high)) - 7
        high = Decimal(repr(high)) if high is not None else low + 50
        if high - low > 10**12:
            return str(math.ceil(low) + 1)
        unit = Decimal(10) ** -self.one_of([0, 1, 6, 6])
        if math.ceil(low / unit) > math.floor(high / unit):
            unit = Decimal(10) ** -6
        first, last = math.ceil(low / unit), math.floor(high / unit)
        open_ = [Decimal(repr(node[key])) for key in ("exclusiveMinimum", "exclusiveMaximum") if key in node]
        values = [place * unit for place in (first, last, self.between(first, last))]
        values = [value for value in values if value not in open_] or [low + Decimal(10) ** -6]
        return f"{self.one_of(values):f}"

    def string(self, node, depth):
        if "pattern" in node:
            return f'"{self.draw(matching(node["pattern"]))}"'
        if "minLength" in node or "maxLength" in node:
            least = node.get("minLength", 0)
            most = min(node.get("maxLength", least + 5), least + 40)
            return f'"{self.draw(st.text("aé <日😀", min_size=least, max_size=most))}"'
        return json.dumps(self.one_of(WORDS), ensure_ascii=self.one_of([False, True]))

    def array(self, node, depth):
        front, rest = node.get("prefixItems", []), node.get("items", {})
        least = node.get("minItems", 0)
        most = len(front) if rest is False else max(least, len(front)) + (2 if depth < 5 else 0)
        count = self.between(least, max(least, min(most, node.get("maxItems", most)))) if depth < 5 else least
        items = [self.write(item, depth + 1) for item in [*front, *[rest] * count][:count]]
        return f"[{self.comma.join(items)}]"

    def object(self, node, depth):
        declared, required = node.get("properties", {}), node.get("required", [])
        others = {**node.get("patternProperties", {})}
        if not others and node.get("additionalProperties", {}) is not False:
            others = {r"[a-zé]{1,3}": node.get("additionalProperties", {})}
        least, most = node.get("minProperties", 0), node.get("maxProperties", 99)
        names = {*required, *self.some([name for name in declared if name not in required], node, depth)}
        members = {
            json.dumps(name, ensure_ascii=False): self.write(declared[name], depth + 1)
            for name in declared
            if name in names
        }
        for key, part in self.further(others, least - len(members), most - len(members), depth):
            members.setdefault(key, self.write(part, depth + 1))
        return "{" + self.comma.join(f"{key}{self.colon}{value}" for key, value in members.items()) + "}"

    def further(self, others, least, most, depth):
        """Keys that are not declared, with the schemas of their values."""
        least = max(least, 0)
        most = min(most, max(least, 2 if depth < 4 else 0))
        if not others or most <= 0:
            return []
        keys = [st.tuples(matching(pattern).map('"{}"'.format), st.just(part)) for pattern, part in others.items()]
        return self.draw(st.lists(st.one_of(keys), min_size=least, max_size=most, unique_by=lambda pair: pair[0]))

    def some(self, optional, node, depth):
        """Optional names, as many as bounds ask for and allow."""
        needed = len(node.get("required", []))
        least = min(max(0, node.get("minProperties", 0) - needed), len(optional))
        most = min(node.get("maxProperties", 99) - needed, len(optional)) if depth < 4 else least
        return (
            self.draw(st.lists(st.sampled_from(optional), unique=True, min_size=least, max_size=most)) if most else []
        )


def spell(value):
    """A listed value as xgrammar writes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{spell(key)}:{spell(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spell, value)) + "]"
    if isinstance(value, float):
        return f"{value:.17g}" if value else "0"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@st.composite
def matching(draw, pattern):
    """A text that a translated pattern matches."""

    def text(parts):
        return "".join(map(one, parts))

    def one(part):
        if isinstance(part, Choice):
            return text(draw(st.sampled_from(part.branches)))
        if isinstance(part, Repeat):
            most = part.least + 3 if part.most is None else min(part.most, part.least + 3)
            return "".join(text(part.part) for _ in range(draw(st.integers(part.least, most))))
        assert isinstance(part, Set) and not part.negated, part
        low, high = draw(st.sampled_from(part.items))
        return chr(draw(st.sampled_from([low, high if high < 0xD800 else low]) | st.integers(low, min(high, low + 60))))

    return text(read(pattern))


ANYTHING = [None, True, 0, 1, -1, 7, 2.5, 10**30, "", "x", "a b", [], [1], ["a", 1], {}, {"a": 1}, {"k": [1]}]


def tried(written):
    """A text like one that was written: something changed in it, or spelled otherwise; or any JSON."""
    return st.one_of(
        written.flatmap(lambda text: changed(json.loads(text))).map(
            lambda value: json.dumps(value, ensure_ascii=False)
        ),
        written.flatmap(respelled),
        st.sampled_from(list(map(json.dumps, ANYTHING))),
    )


@st.composite
def changed(draw, value):
    """A value with one thing changed somewhere."""
    path = draw(st.sampled_from(list(_paths(value))))
    return _replaced(value, path, lambda item: draw(st.sampled_from(_others(item)) | st.sampled_from(ANYTHING)))


def _paths(value, path=()):
    yield path
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _paths(part, (*path, key))


def _replaced(value, path, new):
    if not path:
        return new(value)
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


def _others(item):
    """What is like a value and yet another."""
    if isinstance(item, bool) or item is None:
        return ANYTHING
    if isinstance(item, int | float):
        return [item + 1, item - 1, -item, item * 1000 + 1, item / 2, item + 0.5, float(item), str(item)]
    if isinstance(item, str):
        return [item + "x", item[:-1], item * 3, item + "\n", item + '"', item.upper(), "0" + item, [item], 5]
    if isinstance(item, list):
        return [item[:-1], item + item, [*item, None], [*item, "x"], item[::-1], [item]]
    more = [
        {**item, name: value} for name in ("zz", "a", "b", "x_a", "n", "kind", "y", "é") for value in (1, "x", None, {})
    ]
    for name in item:
        less = {other: part for other, part in item.items() if other != name}
        more += [less, {**less, name + "x": item[name]}, {**less, name: item[name]}]
    return [*more, dict(reversed(item.items()))]


@st.composite
def respelled(draw, text):
    """The same text with a key or a number written otherwise, or a key twice."""
    keys = re.findall(r'"(?:[^"\\]|\\.)*"(?=:)', text)
    ways = [re.sub(r"(?<=[: ])(\d+)(?=[,}\]])", r"\g<1>.0", text, count=1)]
    if keys:
        key = draw(st.sampled_from(keys))
        ways += [f"{text[:-1]}, {key}: {value}}}" for value in ("1", "null", '""') if text.endswith("}")]
        if len(key) > 2 and key[1] != "\\" and ord(key[1]) < 0x10000:
            ways.append(text.replace(key, f'"\\u{ord(key[1]):04x}{key[2:]}', 1))
    return draw(st.sampled_from(ways))


PARTS = ["a", "b", "ab", "[ab]", "[^a]", ".", "\\s", "\\S", '"', "\\\\", '["<]', "\\w", "é"]
COUNTS = ["?", "*", "+", "{2}", "{1,2}", "{,3}", "{2,}", "{0}"]


def patterns(parts=PARTS, *, anchored=True):
    """Patterns of any form that is held, with anchors at their ends and within choices or without any."""
    begin, end = (st.sampled_from(["", sign]) if anchored else st.just("") for sign in "^$")

    def more(inner):
        choice = st.builds("({}{}|{}{})".format, begin, inner, inner, end | st.just("|"))
        return st.one_of(
            st.builds("{}{}".format, inner, inner), choice, st.builds("(?:{}){}".format, inner, st.sampled_from(COUNTS))
        )

    return st.builds("{}{}{}".format, begin, st.recursive(st.sampled_from(parts), more, max_leaves=8), end)


NAMES = st.sampled_from(["a", "b", "ab", "x_a", "é", 'q"', "n", ""])
SMALL = st.integers(-3, 12)


def _some(optional, **needed):
    return st.fixed_dictionaries({name: st.just(value) for name, value in needed.items()}, optional=optional)


def _bounds(values):
    words = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    return dict.fromkeys(words, values)


def _leaves():
    lengths = {"minLength": st.integers(0, 4), "maxLength": st.integers(0, 9)}
    formats = st.sampled_from(["date", "uuid", "ipv4", "color"])
    listed = st.lists(st.sampled_from([*ANYTHING, 0.1, "a", "b", "é"]), min_size=1, max_size=4)
    return st.one_of(
        st.sampled_from([True, {}, {"type": "string"}, {"type": "integer"}, {"type": "null"}, {"type": "boolean"}]),
        _some(_bounds(SMALL) | {"multipleOf": st.integers(1, 5)}, type="integer"),
        _some(_bounds(SMALL | st.sampled_from([0.5, -1.25, 3.3])), type="number"),
        _some(lengths | {"pattern": patterns(), "format": formats}, type="string"),
        _some(_bounds(SMALL) | lengths),
        st.builds(lambda values: {"enum": values}, listed),
        st.builds(lambda value: {"const": value}, st.sampled_from(ANYTHING)),
        st.just({"$ref": "#/$defs/d"}),
    )


def _within(inner):
    counts = {"minItems": st.integers(0, 2), "maxItems": st.integers(0, 3), "uniqueItems": st.booleans()}
    several = st.lists(inner, min_size=1, max_size=3)
    members = {
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "required": st.lists(NAMES, unique=True, max_size=2),
        "additionalProperties": inner | st.booleans(),
        "patternProperties": st.dictionaries(st.sampled_from(["^x", "a$", "^[ab]+$"]), inner, max_size=2),
        "propertyNames": st.sampled_from([{"pattern": "^[a-z]+$"}, {"enum": ["a", "b"]}, {"maxLength": 2}]),
        "minProperties": st.integers(0, 2),
        "maxProperties": st.integers(0, 3),
        "dependentRequired": st.just({"a": ["b"]}),
    }
    return st.one_of(
        _some({"items": inner, "prefixItems": several, **counts}, type="array"),
        _some(members, type="object"),
        _some({"properties": members["properties"], "required": members["required"]}, type="object"),
        st.builds(lambda word, parts: {word: parts}, st.sampled_from(["anyOf", "oneOf", "allOf"]), several),
        st.builds(lambda part, parts: {"allOf": [part, {"anyOf": parts}]}, inner, several),
        st.builds(lambda part, no: {"allOf": [part], "not": no}, inner, inner),
        st.builds(
            lambda part, kinds: {"allOf": [part], "type": kinds}, inner, st.sampled_from(["object", ["string", "null"]])
        ),
    )


def schemas():
    """Schemas of a few keywords at once, which may refer to one definition, and that to itself within its values."""
    some = st.recursive(_leaves(), _within, max_leaves=6)
    definition = some.filter(lambda part: not _refers_at_once(part))
    return st.builds(_defined, some, definition)


def _refers_at_once(part):
    """Whether a reference stands for the same value as the schema: in itself it would never come to an end."""
    if not isinstance(part, dict):
        return False
    inner = [part.get("not"), *(one for word in ("anyOf", "oneOf", "allOf") for one in part.get(word, ()))]
    return "$ref" in part or any(map(_refers_at_once, inner))


def _defined(part, definition):
    if "$ref" not in str(part):
        return part
    return {"allOf": [part], "$defs": {"d": definition}}
