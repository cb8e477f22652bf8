"""A captured stream: its events, what is wrong with them, and the answer that they make."""

from __future__ import annotations

import io
import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from k2lab import jsonread
from k2lab.apis import Api, api_of_event, assembly_of
from k2lab.apis.streams import ApiAssembly
from k2lab.bench.stream import Assembly
from k2lab.findings import Finding
from k2lab.legible import one_line

LINE = re.compile(r"[^\n]*\n?")
FIELD = re.compile(r"data:[ ]?(?P<data>.*)", re.DOTALL)
DONE = "[DONE]"
SHOWN = 80
LOOKED_AT = 20
"""Events of which one says of which API a stream is."""


@dataclass(kw_only=True, slots=True)
class Capture:
    """What a captured stream holds: findings with their lines, and the answer put together, in its API's own form.

    ``response`` is ``None`` where no event could be taken.
    """

    api: Api = "chat"
    found: list[tuple[Finding, int]] = field(default_factory=list)
    response: dict[str, Any] | None = None
    events: int = 0


def of_capture(text: str) -> Capture:
    """Read a stream as it was captured, whatever ``curl`` printed around it.

    >>> made = of_capture('data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}')
    >>> [finding.code for finding, _ in made.found], made.response["choices"][0]["message"]["content"]
    (['S001'], 'Hi')
    """
    assembly = assembly_of(api_of_stream(text))
    return (_ChatReader(text) if assembly is None else _TypedReader(text, assembly)).read()


def api_of_stream(text: str) -> Api:
    r"""The API whose events a stream has: that of the first event that says it, else the chat API.

    >>> api_of_stream('event: message_start\ndata: {"type": "message_start", "message": {}}')
    'messages'
    """
    for _, data in itertools.islice(_events(text), LOOKED_AT):
        try:
            api = api_of_event(jsonread.read_json(data, constants=True))
        except jsonread.NotJSON:
            continue
        if api is not None:
            return api
    return "chat"


class _Reader(ABC):
    """Reads a stream event by event."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.made = Capture()
        self.done = self.failed = False

    def read(self) -> Capture:
        last = 0
        for line, data in _events(self.text):
            last = line
            if data == DONE:
                self.done = True
            elif data:
                self._event(line, data)
        self._ended(last)
        if self.made.events:
            self.made.response = self._response()
        return self.made

    def _event(self, line: int, data: str) -> None:
        try:
            event = jsonread.read_json(data, constants=True)
        except jsonread.NotJSON as why:
            self._tell(line, "event_not_readable", f"not JSON: {why}: {one_line(data, SHOWN)}")
            return
        if not isinstance(event, Mapping):
            self._tell(line, "event_not_readable", f"no object: {one_line(data, SHOWN)}")
        elif event.get("error") or event.get("type") == "error":
            self.failed = True
            self._tell(line, "error_in_place_of_an_answer", one_line(event.get("error") or dict(event), 300))
        else:
            self._take(line, event)

    def _take(self, line: int, event: Mapping[str, Any]) -> None:
        try:
            self._assemble(line, event)
        except (TypeError, AttributeError, ValueError, KeyError) as why:
            self._tell(line, "event_not_readable", f"not of the API's shape: {one_line(why, SHOWN)}")
            return
        self.made.events += 1

    def _ended(self, line: int) -> None:
        lacks = [] if self.failed else self._lacks()
        if lacks:
            self._tell(line, "stream_without_an_end", f"it ends without {' and without '.join(lacks)}")

    def _tell(self, line: int, name: str, told: str) -> None:
        self.made.found.append((Finding.of(name, "present", told), line))

    @abstractmethod
    def _assemble(self, line: int, event: Mapping[str, Any]) -> None:
        """Take an event; raises a ValueError, a TypeError or the like for one that is not of the API's shape."""

    @abstractmethod
    def _lacks(self) -> list[str]:
        """What of its end did not come."""

    @abstractmethod
    def _response(self) -> dict[str, Any]:
        """The answer, as far as it came."""


class _TypedReader(_Reader):
    """Of the Responses or the Messages API, whose events say their types."""

    def __init__(self, text: str, assembly: ApiAssembly) -> None:
        super().__init__(text)
        self.made.api = assembly.api
        self.assembly = assembly

    def _assemble(self, line: int, event: Mapping[str, Any]) -> None:
        self.assembly.event(event)

    def _lacks(self) -> list[str]:
        return [] if self.assembly.ended else [self.assembly.end]

    def _response(self) -> dict[str, Any]:
        return self.assembly.answer()


class _ChatReader(_Reader):
    """Of the chat API, or of completions."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.assembly = Assembly()
        self.texts: list[str] = []
        self.reason: Any = None
        self.told: set[str] = set()

    def _assemble(self, line: int, event: Mapping[str, Any]) -> None:
        self.assembly.event(event)
        self._deltas(line, event)

    def _deltas(self, line: int, event: Mapping[str, Any]) -> None:
        for choice in event.get("choices") or ():
            calls = (choice.get("delta") or {}).get("tool_calls")
            if calls == []:
                self._once(line, "empty_call_deltas", "tool_calls: [] in a delta")
            if any(call.get("index") is None for call in calls or ()):
                self._once(line, "call_delta_without_index", "a delta of a call has no index")
            if isinstance(choice.get("text"), str) and not choice.get("index"):
                self.texts.append(choice["text"])
                self.reason = choice.get("finish_reason") or self.reason

    def _lacks(self) -> list[str]:
        lacks = [] if self.assembly.finish_reason else ["a finish_reason"]
        return lacks + ([] if self.done else [DONE])

    def _response(self) -> dict[str, Any]:
        if not self.texts:
            return self.assembly.response()
        choice = {"index": 0, "text": "".join(self.texts), "finish_reason": self.reason}
        return {"object": "text_completion", "choices": [choice]}

    def _once(self, line: int, name: str, told: str) -> None:
        if name not in self.told:
            self.told.add(name)
            self._tell(line, name, f"{told}, first here")


def _events(text: str) -> Iterator[tuple[int, str]]:
    """The data of each event, with the line on which it begins; an error that stands bare is one, too."""
    parts: list[str] = []
    begun = 0
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        line = line.rstrip("\r\n")
        match = FIELD.match(line)
        if match:
            if parts and _is_whole(parts):
                yield begun, "\n".join(parts)
                parts = []
            begun = begun if parts else number
            parts.append(match["data"].strip())
        elif not line.strip() and parts:
            yield begun, "\n".join(parts)
            parts = []
        elif line.startswith('{"error"'):
            yield number, line
    if parts:
        yield begun, "\n".join(parts)


def _is_whole(parts: list[str]) -> bool:
    """Whether what came is an event by itself: some captures have lost the blank lines between."""
    return parts[-1] == DONE or (len(parts) == 1 and parts[0][-1:] == "}")
