"""Writing calls as XTML: typed arguments, escaped attributes, and an error for what the format cannot carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from k2lab.errors import InputError
from k2lab.wire.xtml.tags import ENDINGS, close_tag, open_tag
from k2lab.wire.xtml.valueforms import type_of, written
from k2lab.wire.xtml.values import is_finite

SHOWN = 80


def format_calls(calls: Iterable[tuple[str, Mapping[str, object]]], content: str = "", *, first_index: int = 1) -> str:
    r"""A response with ``content``, and the tools with the calls; :func:`k2lab.wire.parse` is its inverse.

    It is what stands behind the closed reasoning, without the end of the
    message. Raises :class:`InputError` for what the format cannot carry: a
    marker in any text, an empty name, a number that JSON has not.

    >>> print(format_calls([("find", {"word": "x", "most": 3})]).replace("<|sep|>", "<|sep|>\n"))
    <|open|>response<|sep|>
    <|close|>response<|sep|>
    <|open|>tools<|sep|>
    <|open|>call tool="find" index="1"<|sep|>
    <|open|>argument key="word" type="string"<|sep|>
    x<|close|>argument<|sep|>
    <|open|>argument key="most" type="number"<|sep|>
    3<|close|>argument<|sep|>
    <|close|>call<|sep|>
    <|close|>tools<|sep|>
    <BLANKLINE>
    """
    response = open_tag("response") + _carried(content, "the content") + close_tag("response")
    written_calls = [format_call(name, arguments, index) for index, (name, arguments) in enumerate(calls, first_index)]
    return response + (open_tag("tools") + "".join(written_calls) + close_tag("tools") if written_calls else "")


def format_call(name: str, arguments: Mapping[str, object], index: int) -> str:
    """One call, as it stands within the tools; raises :class:`InputError` as :func:`format_calls` does."""
    if not name.strip():
        raise InputError("a call without a tool's name cannot be written: give it one")
    opened = open_tag("call", tool=_carried(name, "the tool's name"), index=str(index))
    return opened + "".join(_argument(key, value) for key, value in arguments.items()) + close_tag("call")


def _argument(key: str, value: object) -> str:
    if not is_finite(value):
        raise InputError(f"the argument {key[:SHOWN]!r} holds a number that JSON has not: {value!r}"[: SHOWN * 3])
    opened = open_tag("argument", key=_carried(key, "the name of an argument"), type=type_of(value))
    return opened + _carried(written(value), f"the argument {key[:SHOWN]!r}") + close_tag("argument")


def _carried(text: str, what: str) -> str:
    found = ENDINGS.search(text)
    if found:
        raise InputError(
            f"{what} holds the marker {found[0]}, where a reader of the text would see a tag: {text[:SHOWN]!r}"
        )
    return text
