"""Places in JSON: paths as ``messages[1].tool_calls[0].id``, and the line of a text on which each stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

STEP = re.compile(r'\[(?P<index>\d+)\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]|\.?(?P<name>[^.\[\]]+)')
PLAIN = re.compile(r"[\w$-]+")
TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]|[^\s{}\[\],:"]++', re.DOTALL)

LARGEST_INDEXED = 32 << 20
"""Characters of a text in which lines of places are looked for: a second or two."""

Step = str | int
Tree = dict[Step, Any]
"""Paths as a tree of their steps."""


def joined(*parts: str) -> str:
    """Paths behind each other.

    >>> joined("response", "choices[0]", "", "[1]")
    'response.choices[0][1]'
    """
    whole = ""
    for part in parts:
        whole += f".{part}" if whole and part and not part.startswith("[") else part
    return whole


def of_pointer(pointer: str) -> str:
    """A JSON pointer as a path; a number is an index.

    >>> of_pointer("/function/parameters/anyOf/0/a.b")
    'function.parameters.anyOf[0]["a.b"]'
    """
    names = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    return joined(*map(_written, names))


def steps(path: str) -> tuple[Step, ...]:
    """The steps of a path.

    >>> steps('tools[0].function["a.b"]')
    ('tools', 0, 'function', 'a.b')
    """
    return tuple(
        int(match["index"]) if match["index"] else json.loads(match["quoted"]) if match["quoted"] else match["name"]
        for match in STEP.finditer(path)
    )


def lines(text: str, paths: Iterable[str]) -> dict[str, int]:
    r"""The line of each path in a JSON text, from 1: of its value, or of the innermost value around it that is there.

    >>> lines('{"a":\n [1,\n 2]}', ["a[1]", "a[7]"])
    {'a[1]': 3, 'a[7]': 2}
    """
    wanted = {path: steps(path) for path in paths}
    if not wanted or len(text) > LARGEST_INDEXED:
        return {}
    tree: Tree = {}
    for parts in wanted.values():
        node = tree
        for step in parts:
            node = node.setdefault(step, {})
    found = dict(_found(text, tree))
    return {path: _innermost(found, parts) for path, parts in wanted.items()}


def _written(name: str) -> str:
    return f"[{name}]" if name.isdecimal() else name if PLAIN.fullmatch(name) else f"[{json.dumps(name)}]"


def _innermost(found: dict[tuple[Step, ...], int], parts: tuple[Step, ...]) -> int:
    for length in range(len(parts), 0, -1):
        if parts[:length] in found:
            return found[parts[:length]]
    return found.get((), 1)


@dataclass(slots=True)
class _Level:
    """A list or an object that is open: where in it we are, and what of it is wanted."""

    is_list: bool
    step: Step
    wanted: Tree | None


def _found(text: str, tree: Tree) -> Iterator[tuple[tuple[Step, ...], int]]:
    """Each value that is wanted, with its line; one pass, whatever the nesting."""
    line, counted, at_key = 1, 0, False
    levels: list[_Level] = []
    for match in TOKEN.finditer(text):
        token = match[0]
        if token in ("]", "}"):
            levels[-1:] = []
            at_key = False
        elif token == ",":
            at_key = bool(levels) and _next(levels[-1])
        elif token == ":":
            at_key = False
        elif at_key and token[0] == '"':
            levels[-1].step = json.loads(token, strict=False) if levels[-1].wanted else ""
        else:
            node = tree if not levels else (levels[-1].wanted or {}).get(levels[-1].step)
            if node is not None:
                line, counted = line + text.count("\n", counted, match.start()), match.start()
                yield tuple(level.step for level in levels), line
            if token in ("[", "{"):
                levels.append(_Level(is_list=token == "[", step=0, wanted=node))
                at_key = token == "{"


def _next(level: _Level) -> bool:
    """Go on to the next value; whether its key comes first."""
    if isinstance(level.step, int) and level.is_list:
        level.step += 1
    return not level.is_list
