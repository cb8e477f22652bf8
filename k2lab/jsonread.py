"""JSON that others wrote: a value that every room can bear, or the reason in a few words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn

from k2lab.errors import first_line

MOST_LEVELS = 100
"""Python's stack bears a thousand calls, and what walks through a value takes up to four a level."""

MOST_PARTS = 4_000_000
"""Values in a text, counted by their commas and brackets: each takes up to twenty times its text in memory."""


PLAIN = frozenset({dict, list})
SCALARS = frozenset({str, int, float, bool, type(None)})
"""The containers and the rest of what a decoder makes; for other types one has to ask."""

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a pair that stands for one character in UTF-16: JSON can escape it, and no UTF-8 holds it."""


class NotJSON(ValueError):
    """Why a text is not JSON, or not JSON that can be worked with, in a few words."""


def read_json(data: str | bytes, *, constants: bool = False, levels: int = MOST_LEVELS) -> object:
    r"""The value of a JSON text: UTF-8, finite numbers, at most ``levels`` deep.

    Lone surrogates are let through, as JSON has them (``"\ud800"``), and with
    ``constants`` the ``NaN`` and ``Infinity`` that Python's own writer makes. Raises
    :class:`NotJSON`, a ``ValueError``.

    >>> read_json(b'{"a": [1]}')
    {'a': [1]}
    >>> read_json("[NaN]")
    Traceback (most recent call last):
    k2lab.jsonread.NotJSON: NaN is not a number of JSON
    """
    try:
        text = data if isinstance(data, str) else str(data, "utf-8")
        containers = text.count("[") + text.count("{")
        if containers + text.count(",") > MOST_PARTS:
            raise NotJSON(f"more than {MOST_PARTS:,} values")
        value: object = (_PYTHONS if constants else _DECODER).decode(text.removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise NotJSON(f"not UTF-8 at byte {error.start + 1}") from None
    except RecursionError:
        raise NotJSON(f"nested deeper than {levels} levels") from None
    except NotJSON:
        raise
    except json.JSONDecodeError as error:
        where = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}"
        raise NotJSON(f"{error.msg} at {where}") from None
    except ValueError as error:  # Python refuses integers of more than 4,300 digits
        raise NotJSON(first_line(error, 60)) from None
    if containers > levels and is_deep(value, levels):
        raise NotJSON(f"nested deeper than {levels} levels")
    return value


def is_deep(value: object, levels: int = MOST_LEVELS) -> bool:
    """Whether a value is nested deeper than so many levels."""
    level: list[object] = [value]
    for _ in range(levels):
        level = [inner for item in level for inner in _items(item) if type(inner) in PLAIN or _is_container(inner)]
        if not level:
            return False
    return True


def lone_surrogate(value: object) -> str | None:
    """The first text of a JSON value, a name of a field included, that holds half a surrogate pair."""
    waiting: list[object] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) and not item.isascii() and LONE_SURROGATE.search(item):
            return item
        if isinstance(item, Mapping):
            waiting += item
        if isinstance(item, Mapping | list | tuple):
            waiting += item.values() if isinstance(item, Mapping) else item
    return None


def _items(value: object) -> Iterable[object]:
    """What is in a container."""
    return value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()


def _is_container(value: object) -> bool:
    return type(value) not in SCALARS and isinstance(value, Mapping | list | tuple)


def _refused(name: str) -> NoReturn:
    raise NotJSON(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):  # too large for a float
        _refused(text[:40])
    return number


_PYTHONS = json.JSONDecoder(parse_float=_finite)
_DECODER = json.JSONDecoder(parse_constant=_refused, parse_float=_finite)
