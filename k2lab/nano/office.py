"""Tools that run here: a handful of look-ups in one small data file, and asks for them whose right call is known."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from k2lab import files, paths
from k2lab.chat import Tool, ToolCall, canonical
from k2lab.nano import synth
from k2lab.nano.synth import ASK_FORMS, PARAMETERS

NOT_FOUND = "error: not found"
"""What a tool says of what is not in the file, as in k2-nano's training."""

Row = Mapping[str, Any]

_BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """What a user says, and the one call that answers it: its tool, its arguments and what the tool then says."""

    text: str
    name: str
    arguments: Mapping[str, Any]
    value: str

    def is_answered_by(self, calls: Sequence[ToolCall]) -> bool:
        """Whether these are just the one right call."""
        return canonical(calls) == canonical([ToolCall(name=self.name, arguments=self.arguments)])


@cache
def rows() -> Mapping[str, Sequence[Row]]:
    """What each tool knows: rows of arguments with their ``value``."""
    return cast(Mapping[str, Sequence[Row]], files.read_json(paths.data_dir() / "agent" / "office.json", "tools' data"))


def declared(names: Sequence[str] | None = None) -> tuple[Tool, ...]:
    """The tools on offer, all of them where none is named; none of them occurs in k2-nano's training.

    >>> [tool["function"]["name"] for tool in declared()][:2]
    ['find_weather', 'list_train']
    """
    return tuple(
        synth.tool_of(name, [_BY_NAME[field] for field in _fields(name)], _fields(name)) for name in names or rows()
    )


def call_tool(name: str | None, arguments: object) -> str:
    """What a tool says: the value of the one row with these arguments, or that there is none.

    >>> call_tool("count_hotel", {"city": "Paris"}), call_tool("count_hotel", {"city": "Atlantis"})
    ('115', 'error: not found')
    """
    for row in rows().get(name or "", ()):
        if isinstance(arguments, Mapping) and {**arguments, "value": row["value"]} == row:
            return str(row["value"])
    return NOT_FOUND


def asks(seed: int, session: int, count: int) -> tuple[tuple[Tool, ...], tuple[Ask, ...]]:
    """A session's tools, three of them as in training, and ``count`` asks for them; the same for the same numbers."""
    rng = random.Random(f"office/{seed}/{session}")
    names = rng.sample(list(rows()), 3)
    return declared(names), tuple(_ask(rng, rng.choice(names)) for _ in range(count))


def _ask(rng: random.Random, name: str) -> Ask:
    row = rng.choice(rows()[name])
    fields = rng.sample(_fields(name), len(_fields(name)))
    words = synth.words_of(name, [(_BY_NAME[field], row[field]) for field in fields], rng)
    form = rng.choice([form for form, before in ASK_FORMS if not before])
    text = form.format(ask=words)
    return Ask(
        text=text[0].upper() + text[1:],
        name=name,
        arguments={field: row[field] for field in fields},
        value=str(row["value"]),
    )


def _fields(name: str) -> list[str]:
    return [field for field in rows()[name][0] if field != "value"]
