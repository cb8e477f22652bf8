"""How a good file is made a bad one: its JSON in one place, its bytes, and what stands in the file's place."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

DEEP = (90, 330, 990, 100_000)


def deep(levels: int) -> str:
    """JSON so many levels deep, as text: the standard library's writer would not make it."""
    return "[" * levels + "]" * levels


VERBATIM = "@verbatim:"
"""How a text begins that stands for JSON that Python's writer would not make."""

NUMBERS = ("1e400", "-1e400", "NaN", "Infinity", "-Infinity", "-0", "1" * 5000, "1e-400", '"\\ud83d"')

VALUES = (
    None, False, True, 0, -1, 1.5, 10**18, 10**400, "", "x", " ", "\x00", "\x1b[2J\x1b]0;x\x07", "\u202egpj", "\ud800",
    "\udcff x", "\ufeff", "a\nb\r\tc", "x" * 100_000, "ä" * 3000, "{{ 7*7 }}", "<script>", "null", "{}", "[", "\x9b31m",
    [], {}, [None], [[]], [{}], {"": None}, {"a": {"b": []}}, ["x"], [0], {"role": []}, {"type": []}, {"\ud800": 1},
    {"\x1b[1m": "x"}, {"$ref": "#"}, {"type": "object", "properties": []},
    *(VERBATIM + text for text in NUMBERS),
    *(VERBATIM + deep(levels) for levels in DEEP),
    VERBATIM + '{"a": 1, "a": {}}',
)  # fmt: skip
"""What is put in the place of a value; a text that begins with ``VERBATIM`` stands there as it is."""


def written(value: object) -> bytes:
    """JSON as bytes, verbatim texts as they are."""
    text = json.dumps(value)
    while (start := text.find(f'"{VERBATIM}')) >= 0:
        body, end = json.decoder.scanstring(text, start + 1)  # type: ignore[attr-defined]
        text = text[:start] + body.removeprefix(VERBATIM) + text[end:]
    return text.encode()


def places(value: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The way to every value of a JSON document, its own first."""
    found = [at]
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in steps:
        found += places(item, (*at, step))
    return found


def reshaped(random: Random, value: object, times: int = 1) -> object:
    """A copy with other values, or lacking ones, in so many places; seldom verbatim text in more than one of them."""
    value = copy.deepcopy(value)
    for _ in range(times):
        way = random.choice(places(value))
        if not way:
            return copy.deepcopy(random.choice(VALUES))
        holder = value
        for step in way[:-1]:
            holder = holder[step]  # type: ignore[index]
        how = random.random()
        if how < 0.15:
            del holder[way[-1]]  # type: ignore[attr-defined]
        elif how < 0.25 and isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), copy.deepcopy(random.choice(VALUES)))
        elif how < 0.35 and isinstance(holder, dict):
            holder[random.choice(["extra_body", "type", "\x1b", "\ud800", "$ref", "name", ""])] = random.choice(VALUES)
        else:
            holder[way[-1]] = copy.deepcopy(random.choice(VALUES))  # type: ignore[index]
    return value


def corrupted(random: Random, data: bytes) -> bytes:
    """Bytes of which some are others, are gone, or are there twice."""
    made = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        start = random.randrange(len(made) + 1)
        end = min(len(made), start + random.choice((1, 1, 4, 100)))
        some = bytes(random.randrange(256) for _ in range(end - start))
        made[start:end] = random.choice(
            (b"", some, made[start:end] * 2, b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J")
        )
    return bytes(made)


def encoded(random: Random, data: bytes) -> bytes:
    """The same text in another encoding, or beginning with the mark of one; or what no text is."""
    text = data.decode()
    return random.choice(
        (
            b"",
            b"\n",
            b"\x00" * 100,
            b"\xef\xbb\xbf" + data,
            text.encode("utf-16"),
            text.encode("utf-16-le"),
            text.encode("utf-32"),
            (text + " äöü").encode("latin-1", "replace"),
            data[: len(data) // 2],
            data + data,
            data + b"\n{",
            b" " * (1 << 20) + data,
            b'"' + b"x" * (1 << 20) + b'"',
            b"null",
            b'"text"',
            b"[]",
            b"{}",
            b"0",
            b"NaN",
            *(deep(levels).encode() for levels in DEEP),
            b'{"messages":' * 5000,
        )
    )


def put(path: Path, data: bytes) -> None:
    """A plain file."""
    path.write_bytes(data)


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10_000_000_000)


def _closed(path: Path) -> None:
    path.write_bytes(b"{}")
    path.chmod(0)


INSTEAD: Mapping[str, Callable[[Path], None]] = {
    "nothing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a full device": _link("/dev/full"),
    "an endless device": _link("/dev/zero"),
    "random bytes without end": _link("/dev/urandom"),
    "a terminal": _link("/dev/tty"),
    "a dangling link": _link("nowhere"),
    "a link to itself": _link("itself"),
    "10 GB of nothing": _sparse,
    "a file that may not be read": _closed,
}
"""What stands where a file is looked for."""

NAMES = ("file.json", "a b.json", "new\nline.json", "\x1b[2J.json", "\u202egpj.json", "\udcff.json", "ä" * 80 + ".json",
         "-x.json", "x" * 300 + ".json")  # fmt: skip
"""Names of files; the last one is too long for any file."""


def path_in(random: Random, folder: Path) -> Path:
    """A path, mostly of a plain name."""
    return folder / (random.choice(NAMES) if random.random() < 0.15 else NAMES[0])


def document(random: Random, value: object) -> bytes:
    """A document of JSON, damaged somehow."""
    how = random.random()
    if how < 0.6:
        return written(reshaped(random, value, random.choice((1, 1, 1, 2, 3))))
    data = json.dumps(value).encode()
    return corrupted(random, data) if how < 0.8 else encoded(random, data)


def lines(random: Random, values: list[object]) -> bytes:
    """JSON a line, damaged somehow in one line or as a whole."""
    made = [json.dumps(value).encode() for value in values]
    if random.random() < 0.2:
        return encoded(random, b"\n".join(made) + b"\n")
    place = random.randrange(len(values))
    made[place] = document(random, values[place]) if random.random() < 0.9 else b"\x00" * 5_000_000
    return b"\n".join(made) + random.choice((b"\n", b"", b"\r\n"))


def place(random: Random, folder: Path, data: bytes) -> Path:
    """A file of these bytes, or now and then something else in its place."""
    path = path_in(random, folder)
    try:
        if random.random() < 0.12:
            INSTEAD[random.choice(sorted(INSTEAD))](path)
        else:
            put(path, data)
    except OSError:  # a name too long: there is no file, and its path is given all the same
        pass
    return path
