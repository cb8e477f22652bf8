"""The parts of a request that can be left out: exchanges, messages, tools, fields, keys of schemas, words.

Every function takes a request as JSON data and gives candidates as new data; the
request that was given is never changed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Data = dict[str, Any]
Path = tuple[str | int, ...]
Try = Callable[[Data], bool]
"""Whether a candidate still shows the fault; it is the best from then on where it does."""

SAMPLING = ("model", "max_tokens", "max_completion_tokens", "temperature", "seed")
"""Fields that stay: without them an answer is another model's, longer, or random."""

WORDS = re.compile(r"\S+\s*|\s+")
NEEDED: Mapping[str, frozenset[str]] = {
    "messages": frozenset({"role", "content", "id", "type", "function", "arguments", "tool_call_id"}),
    "tools": frozenset({"type", "name", "function", "parameters"}),
}
"""Keys without which a message, a call or a tool is none; a text can be emptied, the others go with the whole."""


def message_groups(messages: Sequence[Data]) -> list[list[int]]:
    """Indices of messages that go together: a message that calls with the results behind it, else each alone.

    >>> message_groups([{"role": "user"}, {"role": "assistant", "tool_calls": [{}]}, {"role": "tool"}])
    [[0], [1, 2]]
    """
    groups: list[list[int]] = []
    for index, message in enumerate(messages):
        if message.get("role") == "tool" and groups and messages[groups[-1][0]].get("tool_calls"):
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def with_messages(data: Data, indices: Sequence[int]) -> Data:
    """The request with these of its messages alone."""
    return {**data, "messages": [data["messages"][index] for index in sorted(indices)]}


def with_items(data: Data, key: str, items: Sequence[Any]) -> Data:
    """The request with another list under a key, and without the key where the list is empty."""
    rest = {name: value for name, value in data.items() if name != key}
    return {**rest, key: list(items)} if items else rest


def fields(data: Data) -> list[str]:
    """Names of the fields beside messages and tools that can be left out."""
    return [name for name in data if name not in ("messages", "tools", *SAMPLING)]


def with_fields(data: Data, names: Sequence[str]) -> Data:
    """The request with these of its :func:`fields` alone."""
    gone = set(fields(data)) - set(names)
    return {name: value for name, value in data.items() if name not in gone}


def inner_keys(data: Data) -> list[Path]:
    """Paths of what can be left out within messages and tools: keys, calls, parts, properties; the deepest last."""
    found = [path for key in ("messages", "tools") for path in _inner(data.get(key, []), (key,))]
    return sorted(found, key=len)


def _inner(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in NEEDED[str(path[0])]:
                yield (*path, key)
            yield from _inner(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            if len(path) > 1:
                yield (*path, place)
            yield from _inner(inner, (*path, place))


def without(data: Data, paths: Sequence[Path]) -> Data:
    """The request without what lies at these paths; an item of ``required`` goes with its property."""
    made = copy.deepcopy(data)
    for path in sorted(paths, key=_order, reverse=True):
        _drop(made, path)
    return made


def _order(path: Path) -> tuple[tuple[int, str], ...]:
    return tuple((step, "") if isinstance(step, int) else (-1, step) for step in path)


def _drop(data: Data, path: Path) -> None:
    parent = at(data, path[:-1])
    if isinstance(parent, Mapping) and path[-1] in parent:
        del parent[path[-1]]  # type: ignore[attr-defined]
        if len(path) > 2 and path[-2] == "properties":
            _not_required(at(data, path[:-2]), path[-1])
    elif isinstance(parent, list) and isinstance(path[-1], int) and path[-1] < len(parent):
        del parent[path[-1]]


def _not_required(schema: Any, name: str | int) -> None:
    required = schema.get("required") if isinstance(schema, Mapping) else None
    if isinstance(required, list) and name in required:
        required.remove(name)


def at(data: Any, path: Path) -> Any:
    """What lies at a path; ``None`` where nothing does."""
    for step in path:
        try:
            data = data[step]
        except (LookupError, TypeError):
            return None
    return data


def text_paths(data: Data) -> list[Path]:
    """Paths of the texts that a person wrote or a model: contents, reasoning, descriptions, arguments."""
    return [path for key in ("messages", "tools") for path in _text_paths(data.get(key, []), (key,))]


def _text_paths(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, str) and path[-1] in TEXT_KEYS:
        yield path
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _text_paths(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _text_paths(inner, (*path, place))


TEXT_KEYS = ("content", "text", "reasoning_content", "reasoning", "description", "arguments")


def words(text: str) -> list[str]:
    """A text in words, each with the white space behind it; they make the text again.

    >>> words("Find it,  please")
    ['Find ', 'it,  ', 'please']
    """
    return WORDS.findall(text)


def with_text(data: Data, path: Path, text: str) -> Data:
    """The request with another text at a path."""
    made = copy.deepcopy(data)
    at(made, path[:-1])[path[-1]] = text
    return made
