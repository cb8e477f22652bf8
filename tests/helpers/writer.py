"""Writes JSON that a translated schema admits, and JSON that is a little wrong."""

import copy
import json
import math
import random
import re
from decimal import Decimal

from k2lab.enforcer.schema.ecma262 import Choice, Repeat, Set, read
from tests.conftest import SHARED

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

    def text(parts):
        return "".join(map(one, parts))

    def one(part):
        if isinstance(part, Choice):
            return text(rng.choice(part.branches))
        if isinstance(part, Repeat):
            most = part.least + 3 if part.most is None else min(part.most, part.least + 3)
            return "".join(text(part.part) for _ in range(rng.randint(part.least, most)))
        assert isinstance(part, Set) and not part.negated, part
        low, high = rng.choice(part.items)
        return chr(rng.choice([low, high if high < 0xD800 else low, rng.randint(low, min(high, low + 60))]))

    return text(read(pattern))


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
