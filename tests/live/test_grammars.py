"""Schemas as grammars: each translated schema of the catalogue, judged by xgrammar and by a validator."""

import json
import random
import re
import subprocess
from collections import Counter
from dataclasses import dataclass

import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from k2lab import engine
from k2lab.enforcer.schema import patterns, translate
from tests.conftest import ROOT
from tests.helpers.schemas import SCHEMAS, exact
from tests.helpers.translated import TEXTS, as_javascript, random_patterns, spelled
from tests.helpers.writer import ANYTHING, WALLE, Writer, blamed, changed, keywords, respelled

WORKER = ROOT / "tests" / "helpers" / "grammar_worker.py"
FREE = r"[\s\S]"


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


def test_every_translated_schema_compiles_soon(cases):
    assert len(SCHEMAS) >= 120 and {one.name: one.answer["error"] for one in cases if "error" in one.answer} == {}
    assert {one.name: one.answer["compile_ms"] for one in cases if one.answer["compile_ms"] > 2000} == {}


def test_what_is_written_by_a_translated_schema_is_accepted_and_valid(cases):
    assert [(c.name, text) for c in cases for text, accepted in c.accepted(False) if not accepted] == []
    exact = [c for c in cases if not c.made.limits]
    assert [(c.name, text) for c in exact for text in c.written if not c.valid(text)] == []
    assert sum(len(c.written) for c in cases) > 3000


def test_nothing_invalid_is_accepted_but_where_a_limit_names_it(cases):
    wrong = []
    for one in cases:
        named = {limit.keyword for limit in one.made.limits}
        for text, accepted in one.accepted(True):
            if accepted and not named >= blamed(one.judge, json.loads(text), named):
                wrong.append((one.name, text, one.made.schema))
    assert wrong == []


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


def test_the_engine_holds_a_pattern_exactly(accepted):
    for pattern, whole in random_patterns(100):
        schema = exact({"type": "string", "pattern": whole.text})
        texts = random.Random(pattern).sample(TEXTS, 40)
        tag = {"type": "structural_tag", "format": {"type": "json_schema", "json_schema": schema}}
        found = accepted(tag, [f'"{spelled(text)}"' for text in texts])
        assert found == [as_javascript(pattern).search(text) is not None for text in texts], pattern
