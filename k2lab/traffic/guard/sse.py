"""Server-sent events as bytes: cut where they end, read, and written anew where their data changes.

An event ends with an empty line; lines end with CR LF, LF or CR (WHATWG HTML,
9.2). Whatever an event is, its bytes are what goes on unless its data changes.
"""

from __future__ import annotations

import re

END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
LINES = re.compile(r"\r\n|\n|\r")
MOST = 16 << 20
"""Bytes of one event; what is longer is no event of an answer."""


class Cutter:
    """Bytes as they come, cut into events."""

    __slots__ = ("_buffer", "_looked", "_most")

    def __init__(self, most: int = MOST) -> None:
        self._buffer = bytearray()
        self._looked = 0
        self._most = most

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are whole by now, each with the empty line that ends it."""
        self._buffer += data
        found, place = list[bytes](), 0
        for match in END.finditer(self._buffer, max(0, self._looked - 3)):
            if match.end() == len(self._buffer) and self._buffer.endswith(b"\r"):
                break  # its line feed may be on the way
            found.append(bytes(self._buffer[place : match.end()]))
            place = match.end()
        if place:
            del self._buffer[:place]
        self._looked = len(self._buffer)
        return found

    @property
    def is_stuck(self) -> bool:
        """Whether an event has grown longer than any is."""
        return len(self._buffer) > self._most

    def rest(self) -> bytes:
        """What is no whole event, and now gone from here."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._looked = 0
        return rest


def data_of(event: bytes) -> str:
    r"""The data of an event, empty where it has none.

    >>> data_of(b'event: x\r\ndata: {"a":\r\ndata: 1}\r\n\r\n')
    '{"a":\n1}'
    """
    try:
        text = event.decode()
    except UnicodeDecodeError:
        return ""
    text = text.strip("\r\n\ufeff")
    if text.startswith("data: ") and "\n" not in text and "\r" not in text:
        return text[6:]
    lines = [line[5:] for line in LINES.split(text) if _is_data(line)]
    return "\n".join(line.removeprefix(" ") for line in lines)


def with_data(event: bytes, data: str) -> bytes:
    r"""An event with other data, its other lines and its line ends as they are.

    >>> with_data(b'event: x\r\ndata: 1\r\n\r\n', '{"a": 2}')
    b'event: x\r\ndata: {"a": 2}\r\n\r\n'
    """
    text = event.decode().lstrip("\r\n")
    ending = LINES.search(text)
    close = ending[0] if ending else "\n"
    kept = [line for line in LINES.split(text) if line and not _is_data(line)]
    lines = [*kept, *(f"data: {line}" for line in data.split("\n"))]
    return (close.join(lines) + close + close).encode()


def _is_data(line: str) -> bool:
    return line.startswith("data:") or line == "data"


def comment(text: str) -> bytes:
    """A line that readers of events pass over."""
    return f": {text}\n\n".encode("ascii", "backslashreplace")
