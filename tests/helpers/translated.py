"""What the tests of translated schemas share."""

import itertools
import json
import re

from k2lab.enforcer.schema import translate


def made(schema):
    """A translated schema that holds all of its original."""
    found = translate(schema)
    assert found.limits == ()
    return found.schema


def limits(schema):
    return {(limit.path, limit.keyword) for limit in translate(schema).limits}


LETTERS = ["a", "b", '"', "\\", "\n", "<", "é"]
TEXTS = ["".join(text) for length in range(4) for text in itertools.product(LETTERS, repeat=length)]


def as_javascript(pattern):
    """What both languages find: there a dollar is no line's end, and a word has ASCII alone."""
    return re.compile(pattern.replace("$", "\\Z"), re.ASCII)


def spelled(text):
    return json.dumps(text, ensure_ascii=False)[1:-1]
