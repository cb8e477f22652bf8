"""What the tests of translated schemas share."""

import contextlib
import itertools
import json
import random
import re

from k2lab.enforcer.schema import patterns, translate


def made(schema):
    """A translated schema that holds all of its original."""
    found = translate(schema)
    assert found.limits == ()
    return found.schema


def limits(schema):
    return {(limit.path, limit.keyword) for limit in translate(schema).limits}


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
