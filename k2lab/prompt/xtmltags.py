"""XTML, the markup of Kimi K3's prompts, in the segments that its tokenizer encodes each by itself.

A tag is ``<|open|>NAME KEY="VALUE"…<|sep|>``, its end ``<|close|>NAME<|sep|>``,
a message's end ``<|end_of_msg|>``. A marker, a name, `` KEY``, ``="``, a value
and ``"`` are a segment each: what is encoded together gets other ids. In a
segment that is no marker a special token's text stays text. Source: facts of
``encoding_k3.py`` of moonshotai/Kimi-K3. Standard library alone: a model folder
may carry this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from k2lab.families.special import CLOSE, END_OF_MSG, OPEN, SEP
from k2lab.wire.xtml.valueforms import escape, type_of, written


class Segment(NamedTuple):
    """A text that is encoded by itself; in a ``marker`` special tokens are read as such."""

    text: str
    marker: bool


def opened(name: str, attributes: Iterable[tuple[str, object]] = ()) -> Iterator[Segment]:
    """The segments that open an element.

    >>> "".join(one.text for one in opened("call", [("tool", 'a&"b"'), ("index", 1)]))
    '<|open|>call tool="a&amp;&quot;b&quot;" index="1"<|sep|>'
    """
    yield Segment(OPEN, True)
    yield from plain(name)
    for key, value in attributes:
        yield Segment(f" {key}", False)
        yield Segment('="', False)
        yield from plain(escape(str(value)))
        yield Segment('"', False)
    yield Segment(SEP, True)


def closed(name: str) -> Iterator[Segment]:
    """The segments that close an element."""
    yield Segment(CLOSE, True)
    yield from plain(name)
    yield Segment(SEP, True)


def element(name: str, attributes: Iterable[tuple[str, object]], content: Iterable[Segment]) -> Iterator[Segment]:
    """An element with what stands in it."""
    yield from opened(name, attributes)
    yield from content
    yield from closed(name)


def whole_message(attributes: Iterable[tuple[str, object]], content: Iterable[Segment]) -> Iterator[Segment]:
    """A message to its end."""
    yield from element("message", attributes, content)
    yield Segment(END_OF_MSG, True)


def plain(text: str) -> Iterator[Segment]:
    """A text in which nothing is a marker; none for an empty one."""
    if text:
        yield Segment(text, False)


def argument(key: str, value: object) -> Iterator[Segment]:
    """An argument of a call: a string raw, all else as JSON, each with its type.

    >>> "".join(one.text for one in argument("n", 7))
    '<|open|>argument key="n" type="number"<|sep|>7<|close|>argument<|sep|>'
    """
    return element("argument", [("key", key), ("type", type_of(value))], plain(written(value)))


def compact(value: Any) -> str:
    """JSON without spaces, the keys of every object sorted: as tools and schemas stand in a prompt."""
    return json.dumps(in_order(value), ensure_ascii=False, separators=(",", ":"))


def in_order(value: Any) -> Any:
    """A copy with the keys of every object in order; lists keep theirs."""
    if isinstance(value, dict):
        return {key: in_order(part) for key, part in sorted(value.items())}
    return [in_order(part) for part in value] if isinstance(value, list | tuple) else value
