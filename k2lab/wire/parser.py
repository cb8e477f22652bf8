"""Read a raw output: whole, from token ids, or fed in chunks."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from k2lab.families import K2, K3, Family
from k2lab.families.special import TURN_MARKER
from k2lab.wire.bare import BARE_CALL, BARE_XTML_CALL, holds_bare_call
from k2lab.wire.identity import LEAK_WINDOW
from k2lab.wire.reader import Reader
from k2lab.wire.recognition import XTML_CALL, of_output
from k2lab.wire.records import MARKER, Parsed, Piece
from k2lab.wire.xtml import reader as xtml
from k2lab.wire.xtml import tags

HELD = re.compile(f"{MARKER.pattern}|{TURN_MARKER.pattern}|{tags.MARKER.pattern}")
AS_TEXT = "no marker is a token of its own here: the tags were read from the text"
LONGEST_GAP = 40
"""White space between a bare id and the first quote of its arguments, and the brace."""
RUN = 48
"""Ids decoded at a time when places in the text are found in the ids."""


class Decoder(Protocol):
    """Token ids to text."""

    def decode(self, ids: list[int]) -> str:
        """The text of ids, markers included."""


def parse(
    text: str,
    tools: Sequence[Mapping[str, object]] | None = None,
    *,
    strict: bool = False,
    thinking: bool | None = None,
    family: Family | None = None,
) -> Parsed:
    """Read an output.

    ``tools`` are those on offer; ``None`` means unknown, and no call is then
    undeclared. Tolerant parsing repairs, says why, and says ``malformed`` where
    two readings are possible; ``strict`` accepts the documented form alone.
    ``thinking`` says whether the output begins inside the reasoning; by default
    it does when a closing tag stands outside calls without an opening one.
    ``family`` says whose output it is; by default the output's own markers do,
    and K2 where they say nothing. ``docs/reader.md`` says what is read how, and where others read otherwise.

    >>> tools = [{"type": "function", "function": {"name": "search"}}]
    >>> raw = ("<|tool_calls_section_begin|><|tool_call_begin|>search:0<|tool_call_argument_begin|>{}"
    ...        "<|tool_call_end|><|tool_calls_section_end|>")
    >>> call = k2lab.parse(raw, tools).calls[0]
    >>> call.name, call.status
    ('search', 'repaired')
    """
    return _read(text, tools, strict, thinking, family)


def _read(
    text: str,
    tools: Sequence[Mapping[str, object]] | None,
    strict: bool,
    thinking: bool | None,
    family: Family | None,
    control: Sequence[int] | None = None,
) -> Parsed:
    whose = family or of_output(text) or K2
    if whose.wire == "xtml":
        return xtml.Reader(text, tools, strict, whose, control).read(thinking)
    return Reader(text, tools, strict, whose).read(thinking)


def holds_call(text: str) -> bool:
    """Whether a call, or what almost is one, stands in a text that should hold none.

    That is what a server leaks into content or reasoning: Kimi's markers around
    something like a call, or an id with arguments whose markers are gone. A
    marker that is only mentioned is no call. K3's calls count as well. Linear
    time, no exception.
    """
    if MARKER.search(text) and parse(text, thinking=False, family=K2).calls:
        return True
    if XTML_CALL.search(text) and parse(text, thinking=False, family=K3).calls:
        return True
    return holds_bare_call(text) or BARE_XTML_CALL.search(text) is not None


def parse_ids(
    ids: Sequence[int],
    tokenizer: Decoder,
    tools: Sequence[Mapping[str, object]] | None = None,
    *,
    strict: bool = False,
    thinking: bool | None = None,
    family: Family | None = None,
) -> Parsed:
    """Read an output from its token ids; spans are then token indexes.

    A span that begins or ends inside a token is widened to the whole token. K3
    encodes text with special tokens off, so that a marker of K3 that is not one
    token is text; where none is one, all count.
    """
    ids = list(ids)
    text, starts = _places(ids, tokenizer)
    control = _control(ids, starts, tokenizer)
    parsed = _read(text, tools, strict, thinking, family, control or None)
    if parsed.family.wire == "xtml" and not control and tags.MARKER.search(text):
        parsed = replace(parsed, notes=(*parsed.notes, AS_TEXT))

    def span(start: int, end: int) -> tuple[int, int]:
        return bisect_right(starts, start) - 1, bisect_left(starts, end)

    calls = []
    for call in parsed.calls:
        start, end = span(call.start, call.end)
        calls.append(replace(call, start=start, end=end))
    pieces = tuple(Piece(piece.kind, *span(piece.start, piece.end)) for piece in parsed.pieces)
    return replace(parsed, calls=tuple(calls), pieces=pieces)


class OutputStream:
    """The same parser fed in chunks: ``feed`` gives content that is settled, ``close`` the whole.

    Content is held back from the first marker on, and where its end could
    still turn out to be the start of one. With ``thinking`` other than false
    all is held, as a later ``</think>`` can turn what came before into
    reasoning.

    >>> stream = k2lab.OutputStream()
    >>> settled = [stream.feed(chunk) for chunk in ("Hello ", "there.")]
    >>> stream.close().content
    'Hello there.'
    """

    def __init__(
        self,
        tools: Sequence[Mapping[str, object]] | None = None,
        *,
        strict: bool = False,
        thinking: bool | None = False,
        family: Family | None = None,
    ) -> None:
        self._tools, self._strict, self._thinking, self._family = tools, strict, thinking, family
        self._chunks: list[str] = []
        self._tail = ""
        self._holding = thinking is not False

    def feed(self, chunk: str) -> str:
        """Take the next chunk; returns the content that is certain now."""
        self._chunks.append(chunk)
        if self._holding:
            return ""
        self._tail += chunk
        if any(pattern.search(self._tail) for pattern in (HELD, BARE_CALL, BARE_XTML_CALL)):
            self._holding = True
            return ""
        keep = LEAK_WINDOW + LONGEST_GAP
        if len(self._tail) <= 2 * keep or not self._tail[:-keep].strip():
            return ""
        ready, self._tail = self._tail[:-keep], self._tail[-keep:]
        return ready

    def close(self) -> Parsed:
        """What the whole text is; equal to :func:`parse` of it."""
        return _read("".join(self._chunks), self._tools, self._strict, self._thinking, self._family)


def _control(ids: list[int], starts: list[int], tokenizer: Decoder) -> list[int]:
    """The places of K3's markers that are one token each."""
    marker = {token: tokenizer.decode([token]) in tags.TOKENS for token in set(ids)}
    found = [start for token, start in zip(ids, starts, strict=False) if marker[token]]
    return found if any(tokenizer.decode([token]) in tags.MARKERS for token in set(ids)) else []


def _places(ids: list[int], tokenizer: Decoder) -> tuple[str, list[int]]:
    """The text of ids, and where in it each id begins, with the text's length at the end.

    Ids are decoded in short runs that end where a character ends, so that a
    character made of several ids counts once, at the first of them.
    """
    texts: list[str] = []
    starts: list[int] = []
    length = first = 0
    while first < len(ids):
        last = min(first + RUN, len(ids))
        while last < len(ids) and tokenizer.decode(ids[first:last]).endswith("\ufffd") and last - first < RUN + 8:
            last += 1
        piece = tokenizer.decode(ids[first:last])
        done = 0
        for count in range(last - first):
            prefix = tokenizer.decode(ids[first : first + count]).rstrip("\ufffd")
            done = max(done, min(len(prefix), len(piece)))
            starts.append(length + done)
        texts.append(piece)
        length += len(piece)
        first = last
    return "".join(texts), [*starts, length]
