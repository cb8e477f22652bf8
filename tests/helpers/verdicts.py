"""What a validator says of a value, by keyword, and why a grammar may refuse what is valid."""

import itertools
import json
import re

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from k2lab.enforcer.schema import patterns
from tests.helpers.translated import as_javascript

FREE = r"[\s\S]"


def judge_of(schema):
    return validator_for(schema, default=Draft202012Validator)(schema)


def blamed(judge, value, named):
    """One keyword for each error: one that is named where there is one."""
    found = set()
    for error in judge.iter_errors(value):
        behind = keywords(error) | ({"patternProperties"} if matched_too(judge.schema, error) else set())
        found.add(next(iter(behind & named), error.validator))
    return found


def matched_too(schema, error):
    """Whether it is about a declared property whose name a pattern matches, as which the grammar lets it pass, too."""
    path, here = list(error.absolute_schema_path), schema
    for part, name in itertools.pairwise(path):
        if part == "properties" and any(as_javascript(key).search(name) for key in here.get("patternProperties", ())):
            return True
        if isinstance(here, dict) and part not in here:  # behind a reference
            return False
        here = here[part]
    return False


BESIDE = {"additionalProperties": {"patternProperties"}, "then": {"if"}, "else": {"if"}}
"""What is about what others leave over, or applies to where others send it: no path of an error names ``if``."""


def keywords(error):
    deeper = {word for part in error.context or () for word in keywords(part)}
    words = {error.validator, *deeper, *(part for part in error.absolute_schema_path if isinstance(part, str))}
    return words.union(*(BESIDE.get(word, ()) for word in words))


NARROWED = {
    "additionalProperties": "another key",
    "pattern": "pattern in full",
    "type": "types that are implied",
    "minimum": "bounds within 64 bits",
    "maximum": "bounds within 64 bits",
    "enum": "numbers that are listed",
}


def reason(translated, text, anchored):
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
    if any(is_respelled(listed) for listed in listed_values(translated)):
        return "spelling of a listed value"
    if not in_order(value, list(property_orders(translated))):
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


def is_respelled(listed):
    """Objects and arrays have one spelling, and xgrammar writes a listed DEL as ``\\u007f``."""
    return isinstance(listed, dict | list) or (isinstance(listed, str) and "\x7f" in listed)


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


def lost_signs(made):
    """A text without these can be written whatever the losses name: ``<`` with what follows it, or ``< and |``."""
    named = [item.loss.reason for item in made.losses]
    return {"<", "|"} if any("< and |" in reason for reason in named) else {"<"} if named else set()
