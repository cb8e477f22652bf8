"""Writing calls in the form of a family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from k2lab.errors import InputError
from k2lab.families import K2, Family
from k2lab.families.special import TURN_MARKER
from k2lab.wire.bare import holds_bare_call
from k2lab.wire.records import (
    ARGUMENT_BEGIN,
    CALL_BEGIN,
    CALL_END,
    ID,
    MARKER,
    SECTION_BEGIN,
    SECTION_END,
    arguments_text,
    call_id,
)
from k2lab.wire.xtml import writer as xtml


def format_calls(
    calls: Iterable[tuple[str, Mapping[str, object]]],
    content: str = "",
    *,
    first_index: int | None = None,
    family: Family = K2,
) -> str:
    """The text that a model of a family writes for content and calls.

    :func:`k2lab.wire.parse` is its inverse where it is told the family, and that
    the output does not begin inside the reasoning. ``first_index`` is the first
    call's: K2 counts those of the conversation from 0, K3 those of the message
    from 1. Raises :class:`InputError` for content, a name or a value that the
    format cannot carry, so that it would be read as something else.
    """
    if family.wire == "xtml":
        return xtml.format_calls(calls, content, first_index=1 if first_index is None else first_index)
    if MARKER.search(content) or TURN_MARKER.search(content):
        raise InputError(f"content holds a marker of the format: {content[:80]!r}")
    parts: list[str] = []
    for index, (name, arguments) in enumerate(calls, first_index or 0):
        if not ID.fullmatch(call_id(name, index)):
            raise InputError(f"tool name {name!r} cannot stand in an id: use letters, digits, '_', '-' and '.'")
        parts += [CALL_BEGIN, call_id(name, index), ARGUMENT_BEGIN, arguments_text(arguments), CALL_END]
    if not parts and holds_bare_call(content):
        raise InputError(f"content holds a call without its markers, and would be read as one: {content[:80]!r}")
    return content + ("".join([SECTION_BEGIN, *parts, SECTION_END]) if parts else "")
