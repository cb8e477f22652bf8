"""A look at a file: each of its parts under the catalogue, with the lines on which the findings lie."""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import BinaryIO

from k2lab import families, files
from k2lab.apis import API_NAMES, Api, AsChat, answer_as_chat, request_as_chat
from k2lab.check import opening, places
from k2lab.check.otherapis import UnseenError, passed_over
from k2lab.check.outputs import Tools, of_output
from k2lab.check.records import WORDS, Checked, Found, Item, Kind, Unread
from k2lab.check.scope import not_found
from k2lab.check.streams import of_stream
from k2lab.check.together import of_pair
from k2lab.check.tools import of_tools
from k2lab.errors import K2LabError
from k2lab.families import Family
from k2lab.findings import CATALOGUE, Finding
from k2lab.prompt.source import Source

MOST_FOUND = 100_000
"""Findings of one file that are kept; further ones are counted."""

MOST_UNREAD = 20
"""Lines of one file of which it is said why they could not be looked at."""

Pair = tuple[Finding, int | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How files are looked at: what they are taken for, and what is known beside them.

    ``api`` is that of requests, whatever their form says. ``model`` names the model,
    ``tools`` are those on offer, and ``source`` renders what a rendering decides.
    ``names`` are the findings that count; ``every`` adds those that are absent or
    unknown.
    """

    kind: Kind | None = None
    api: Api | None = None
    model: str | None = None
    tools: Tools | None = None
    thinking: bool | None = None
    source: Source | None = None
    every: bool = False
    names: Collection[str] = field(default_factory=lambda: frozenset(CATALOGUE))

    def family(self, request: object = None) -> Family | None:
        """The family that is named, here or in the request; ``None`` where none is."""
        named = request.get("model") if isinstance(request, Mapping) else None
        name = self.model or (named if isinstance(named, str) else None)
        return _family(name) if name else None


@lru_cache(maxsize=256)
def _family(name: str) -> Family | None:
    return families.of_model(name)


def look_at(path: str, look: Look = Look()) -> Checked:
    """A file looked at; never raises for what stands in it.

    >>> from pathlib import Path
    >>> written = Path("tools.json").write_text('[{"type": "function", "function": {"name": "a b"}}]')
    >>> [one.finding.code for one in look_at("tools.json").present]
    ['T001', 'T005']
    """
    try:
        with files.opened(path, "file") as file:
            return _looked(path, file, look)
    except K2LabError as why:
        return Checked(name=path, unread=(str(why),))


def look_at_bytes(name: str, data: bytes, look: Look = Look()) -> Checked:
    """What was read from elsewhere, looked at as a file of that name."""
    return _looked(name, io.BytesIO(data), look)


def _looked(name: str, file: BinaryIO, look: Look) -> Checked:
    kinds: Counter[tuple[Kind, Api]] = Counter()
    kept: list[Pair] = []
    unread: list[str] = []
    notes: Counter[str] = Counter()
    left_out = lines = 0
    family = look.family()
    text = ""
    try:
        contents = opening.contents_of(file, look.kind)
        text = contents.text
        for item in contents.items:
            lines += item.line is not None
            if isinstance(item, Unread):
                unread.append(f"line {item.line}: {item.why}")
                continue
            item = item if look.api is None else replace(item, api=look.api)
            kinds[item.kind, item.api] += 1
            family = family or look.family(item.request)
            notes.update(_unjudged(item, look))
            try:
                for pair in _of_item(item, look):
                    if pair[0].name in look.names:
                        left_out += len(kept) >= MOST_FOUND
                        kept[len(kept) :] = [pair] if len(kept) < MOST_FOUND else []
            except K2LabError as why:
                told = str(why.within(item.place) if isinstance(why, UnseenError) else why)
                unread.append(f"line {item.line}: {told}" if item.line else told)
    except K2LabError as why:
        unread.append(str(why))
    kept = [pair for pair in kept if look.every or pair[0].state == "present"]
    if look.every and kinds:
        named = {finding.name for finding, _ in kept}
        known = {"tools": look.tools is not None, "source": look.source is not None}
        counted = Counter[Kind]()
        for (kind, _), count in kinds.items():
            counted[kind] += count
        others = not_found(counted, named, family=family, **known)
        kept += [(finding, None) for finding in others if finding.name in look.names]
    return Checked(
        name=name,
        taken_for=_words(kinds, by_line=lines > 0),
        found=_located(kept, text),
        unread=_first(unread),
        notes=tuple(f"of {count:,}: {why}" if count > 1 else why for why, count in notes.items()),
        left_out=left_out,
    )


def _of_item(item: Item, look: Look) -> Iterator[Pair]:
    """The findings of an item at their places in the file."""
    family = look.family(item.request)
    if item.kind == "output":
        yield from _of_output(item, look)
    elif item.kind == "stream":
        yield from _of_stream(item, look)
    else:
        for finding in _of_parts(item, look, family):
            yield replace(finding, place=item.place(finding.place)), item.line


def _of_parts(item: Item, look: Look, family: Family | None) -> Iterator[Finding]:
    if item.kind == "tools":
        yield from of_tools(item.tools, family)
        return
    yield from of_pair(
        item.request if isinstance(item.request, Mapping) else None,
        (lambda: item.answer) if item.kind in ("answer", "exchange") else None,
        api=item.api,
        model=look.model,
        tools=look.tools,
        family=family,
        stored=item.stored,
        source=look.source,
    )


def _of_output(item: Item, look: Look) -> Iterator[Pair]:
    tools = look.tools if look.tools is not None else _mappings(item.tools)
    starts = [0, *(match.end() for match in re.finditer("\n", item.text))]
    for finding, at in of_output(item.text, tools, look.thinking, look.family()):
        line = bisect_right(starts, at)
        if item.at:
            yield replace(finding, place=item.place("text")), item.line
        else:
            yield replace(finding, place=f"column {at - starts[line - 1] + 1}"), line


def _of_stream(item: Item, look: Look) -> Iterator[Pair]:
    for finding, line in of_stream(item.text, None, look.tools, look.family):
        if line is None:
            finding = replace(finding, place=f"the answer put together: {finding.place.removeprefix('answer.')}")
        yield finding, line


def _unjudged(item: Item, look: Look) -> Iterator[str]:
    """What of an item cannot be judged, and why."""
    tools = look.tools if look.tools is not None else item.tools
    chat = item.kind == "exchange" and item.api == "chat"
    if chat and isinstance(item.request, Mapping) and not item.request.get("messages"):
        told = {None: "", True: "; its own runner called it valid", False: "; its own runner called it invalid"}
        yield f"the tools and the history: the request holds its prompt as text{told[item.stored]}"
    elif item.kind in ("answer", "stream"):
        yield "the index of ids, and what the request asked for: the request is not there"
    if item.api == "messages" and item.kind == "request" and look.api is None:
        yield "its form is that of Anthropic's Messages API; for one that was sent to the chat API say --api chat"
    beside = passed_over(_made(item)) if item.api != "chat" else ""
    if beside:
        yield f"{beside}: no part of the prompt or the answer"
    if item.kind in ("answer", "stream", "output") and tools is None:
        yield "whether tools are declared and arguments keep their schemas: the tools are not there (--tools)"


def _made(item: Item) -> Iterator[AsChat]:
    if isinstance(item.request, Mapping):
        yield request_as_chat(item.api, item.request)
    if isinstance(item.answer, Mapping):
        yield answer_as_chat(item.api, item.answer)


def _mappings(tools: object) -> Tools | None:
    return [tool for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list) else None


def _located(pairs: list[Pair], text: str) -> tuple[Found, ...]:
    """Each finding with its line, of the place in the JSON where the file is one value."""
    lines = places.lines(text, {finding.place for finding, line in pairs if line is None}) if text else {}
    return tuple(Found(finding=finding, line=line or lines.get(finding.place)) for finding, line in pairs)


def _words(kinds: Counter[tuple[Kind, Api]], *, by_line: bool) -> str:
    told = [
        (f"{count:,} {WORDS[kind][1]}" if count > 1 else WORDS[kind][0])
        + ("" if api == "chat" else f" ({API_NAMES[api]})")
        for (kind, api), count in kinds.items()
    ]
    return ", ".join(told) + (", by line" if by_line and told else "")


def _first(unread: list[str]) -> tuple[str, ...]:
    more = len(unread) - MOST_UNREAD
    return (*unread[:MOST_UNREAD], *([f"and {more:,} more lines"] if more > 0 else ()))
