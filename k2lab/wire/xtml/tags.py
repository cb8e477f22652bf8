"""XTML's markers and the tags that they make: where each stands, which element it opens or closes, its attributes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from k2lab.families.special import CLOSE, END_OF_MSG, OPEN, SEP
from k2lab.wire.marks import is_mentioned
from k2lab.wire.xtml.valueforms import escape, unescape

MARKERS = (OPEN, CLOSE, SEP, END_OF_MSG)
TOKENS = (*MARKERS, "[EOS]")
MARKER = re.compile(r"<\|(?:open|close|sep|end_of_msg)\|>")
ENDINGS = re.compile(MARKER.pattern + r"|\[EOS\]")
"""The markers, and the token that ends an output."""

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "message": ("role", "tool", "index", "type", "name"),
    "think": (),
    "response": (),
    "tools": (),
    "call": ("tool", "index"),
    "argument": ("key", "type"),
    "json": ("type",),
}
"""The elements, and the attributes that each has in the documented form."""

LONGEST_HEADER = 4096
"""Characters between a marker and its ``<|sep|>``; more are no tag."""

EDGE = 256
"""Characters of white space beside a tag that are looked through; keeps time linear."""

HEADER = re.compile(r"(?P<lead>\s*)(?P<name>[a-z]+)(?P<rest>.*)", re.DOTALL)
ATTRIBUTE = re.compile(r"""(\s+)([\w-]+)(\s*=\s*)(?:"([^"]*)"|'([^']*)')""")
BARE_AMPERSAND = re.compile(r"&(?!amp;|quot;)")

Kind = Literal["open", "close", "end", "lone"]
Mark = tuple[str, int, int]
"""A marker in ``[start, end)``."""


class Tag(NamedTuple):
    """A tag in ``[start, end)``; ``kind`` is ``lone`` for a marker that makes none, ``end`` for the end of a message.

    ``attributes`` are unescaped, ``None`` where they cannot be read; ``cut``:
    the text ends inside it. ``faults`` say what is not the documented form.
    """

    kind: Kind
    name: str
    start: int
    end: int
    attributes: Mapping[str, str] | None = None
    faults: tuple[str, ...] = ()
    cut: bool = False
    spaced: bool = False

    def opens(self, *names: str) -> bool:
        """Whether it opens one of these elements."""
        return self.kind == "open" and self.name in names

    def closes(self, *names: str) -> bool:
        """Whether it closes one of these elements."""
        return self.kind == "close" and self.name in names

    @property
    def ends_the_turn(self) -> bool:
        """Whether the message is over behind it."""
        return self.kind == "end" or self.closes("message")


def open_tag(name: str, **attributes: str) -> str:
    """The tag that opens an element.

    >>> open_tag("argument", key='a "b"', type="string")
    '<|open|>argument key="a &quot;b&quot;" type="string"<|sep|>'
    """
    return OPEN + name + "".join(f' {key}="{escape(value)}"' for key, value in attributes.items()) + SEP


def close_tag(name: str) -> str:
    """The tag that closes an element."""
    return f"{CLOSE}{name}{SEP}"


def find(text: str, control: Iterable[int] | None = None) -> list[Tag]:
    """The tags of a text in order.

    ``control`` are the places of the markers that are tokens of their own; one
    elsewhere is text. Without it every marker counts. Linear time.
    """
    marks = [(match[0], match.start(), match.end()) for match in ENDINGS.finditer(text)]
    if control is not None:
        own = frozenset(control)
        marks = [mark for mark in marks if mark[1] in own]
    found: list[Tag] = []
    headers: dict[tuple[Kind, str], Tag | None] = {}
    number = 0
    while number < len(marks):
        after = marks[number + 1] if number + 1 < len(marks) else None
        tag = _tag(text, marks[number], after, headers)
        number += 2 if tag.kind in ("open", "close") and not tag.cut else 1
        if marks[number - 1][0] != "[EOS]" or _ends_here(text, tag, after):
            found.append(tag)
    return found


def is_spoken_of(text: str, tag: Tag) -> bool:
    """Whether a tag stands in prose, as a word does."""
    return tag.kind != "end" and is_mentioned(text, tag.start, tag.end)


def is_close(text: str, tag: Tag, following: Tag) -> bool:
    """Whether nothing but white space stands between two tags."""
    return following.start - tag.end < EDGE and not text[tag.end : following.start].strip()


def _tag(text: str, mark: Mark, after: Mark | None, headers: dict[tuple[Kind, str], Tag | None]) -> Tag:
    marker, start, end = mark
    if marker not in (OPEN, CLOSE):
        return Tag("lone" if marker == SEP else "end", "", start, end)
    kind: Kind = "open" if marker == OPEN else "close"
    if after is None and len(text) - end <= LONGEST_HEADER and (name := _begun(text[end:])) is not None:
        return Tag(kind, name, start, len(text), _begun_attributes(kind, text[end:]), cut=True)
    if after is None or after[0] != SEP or after[1] - end > LONGEST_HEADER:
        return Tag("lone", "", start, end)
    header = (kind, text[end : after[1]])
    if header not in headers:
        headers[header] = _whole(*header)
    tag = headers[header]
    return Tag("lone", "", start, end) if tag is None else tag._replace(start=start, end=after[2])


def _whole(kind: Kind, text: str) -> Tag | None:
    """The tag, without its place, that a header makes; ``None`` where it names no element."""
    header = HEADER.fullmatch(text)
    if header is None or header["name"] not in ATTRIBUTES:
        return None
    rest = header["rest"]
    attributes, faults = _read(header["name"], kind, rest)
    trailing = rest[len(rest.rstrip()) :]
    if header["lead"] or trailing:
        faults = (*faults, "white space within a tag")
    return Tag(kind, header["name"], 0, 0, attributes, faults, spaced=header["lead"] == " " == trailing)


def _begun(rest: str) -> str | None:
    """The element whose tag an output's last characters begin, empty where it could be several; else ``None``."""
    header = HEADER.fullmatch(rest)
    if header is None:
        return "" if not rest.strip() else None
    if header["name"] in ATTRIBUTES and (not header["rest"] or header["rest"][0].isspace()):
        return header["name"]
    return "" if not header["rest"] and any(name.startswith(header["name"]) for name in ATTRIBUTES) else None


def _begun_attributes(kind: Kind, rest: str) -> Mapping[str, str] | None:
    """What can be read of the attributes of a tag that is cut."""
    if kind == "close":
        return None
    return {match[2]: unescape(match[4] or match[5] or "") for match in ATTRIBUTE.finditer(rest)}


def _read(name: str, kind: Kind, rest: str) -> tuple[Mapping[str, str] | None, tuple[str, ...]]:
    """The attributes that stand behind an element's name, and what is odd about them."""
    found: dict[str, str] = {}
    faults: list[str] = []
    place = 0
    while match := ATTRIBUTE.match(rest, place):
        place = match.end()
        value = match[4] if match[4] is not None else match[5]
        if match[2] in found and found[match[2]] != unescape(value):
            return None, (f"the attribute {match[2]} twice",)
        found[match[2]] = unescape(value)
        faults += _odd(match, value)
    if rest[place:].strip():
        return None, ("attributes that cannot be read",)
    known = ATTRIBUTES[name] if kind == "open" else ()
    faults += [f"an attribute {key} of {name}" for key in found if key not in known]
    if tuple(key for key in known if key in found) != tuple(key for key in found if key in known):
        faults.append("attributes in another order")
    return found, tuple(dict.fromkeys(faults))


def _odd(match: re.Match[str], value: str) -> list[str]:
    faults = ["white space within a tag"] if match[1] != " " or match[3] != "=" else []
    faults += ["an attribute in single quotes"] if match[5] is not None else []
    return faults + (["an '&' that is not escaped"] if BARE_AMPERSAND.search(value) else [])


def _ends_here(text: str, tag: Tag, after: Mark | None) -> bool:
    """Whether ``[EOS]`` ends the output here, rather than being text."""
    until = after[1] if after else len(text)
    return until - tag.end < EDGE and not text[tag.end : until].strip()
