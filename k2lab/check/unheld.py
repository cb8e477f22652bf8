"""What the grammar that vLLM 0.32.0 makes of a tool's schema lets pass, seen with its xgrammar 0.2.8.

Each rule was tried with a schema and a value that it refuses and the grammar
accepts. What the grammar may or may not tell apart, as branches of a ``oneOf``
that overlap, is left out: not every such schema lets something pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

PASSED_OVER = ("not", "if", "dependentRequired", "dependentSchemas", "dependencies", "uniqueItems")
LENGTHS = ("minLength", "maxLength")
BOUNDS = frozenset(
    {"enum", "const", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "required"}
)
"""What is lost beside a keyword that says it all for the grammar."""
LOOKAROUND = re.compile(r"\(\?<?[=!]")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
MAPS = ("properties", "patternProperties", "$defs", "definitions")
SINGLE = ("items", "additionalProperties", "contains")
MOST = 10_000
"""Parts of a schema that are looked at."""


def passing(schema: object) -> Iterator[tuple[str, str]]:
    """``(pointer, words)`` of each part that passes.

    >>> list(passing({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}))
    [('/properties/a/uniqueItems', 'uniqueItems is passed over')]
    """
    waiting: list[tuple[str, object]] = [("", schema)]
    for _ in range(MOST):
        if not waiting:
            return
        path, part = waiting.pop()
        if isinstance(part, Mapping):
            yield from ((f"{path}/{word}" if word else path, words) for word, words in _of_part(part))
            waiting += reversed([*_inside(path, part)])


def _of_part(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for word in PASSED_OVER:
        if word in part and part[word] is not False:
            yield word, f"{word} is passed over"
    for word in ("$ref", "anyOf", "oneOf"):
        beside = sorted(BOUNDS & part.keys())
        if word in part and beside:
            yield beside[0], f"beside {word}, {', '.join(beside)} {'is' if len(beside) == 1 else 'are'} passed over"
            break
    if isinstance(part.get("allOf"), list) and len(part["allOf"]) > 1:
        yield "allOf", "allOf of more than one schema lets any value pass"
    pattern = part.get("pattern")
    lengths = [word for word in LENGTHS if word in part]
    if lengths and ("pattern" in part or "format" in part):
        yield lengths[0], f"{lengths[0]} is passed over beside {'pattern' if 'pattern' in part else 'format'}"
    if isinstance(pattern, str) and LOOKAROUND.search(pattern):
        yield "pattern", "a look-around of a pattern is passed over"
    declared = part.get("properties")
    if isinstance(declared, Mapping) and isinstance(part.get("required"), list):
        missing = [name for name in part["required"] if isinstance(name, str) and name not in declared]
        if missing:
            yield "required", f"{missing[0][:60]} is required and not declared, and may be missing"


def _inside(path: str, part: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for word in MAPS:
        if isinstance(part.get(word), Mapping):
            for name, inner in part[word].items():
                yield f"{path}/{word}/{_escaped(str(name))}", inner
    for word in LISTS:
        if isinstance(part.get(word), list):
            for number, inner in enumerate(part[word]):
                yield f"{path}/{word}/{number}", inner
    for word in SINGLE:
        if word in part:
            yield f"{path}/{word}", part[word]


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
