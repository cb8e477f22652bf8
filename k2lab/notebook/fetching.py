"""What of a page a browser would fetch when it opens it: read from elements, attributes and styles, not from text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser

URLS = {
    "src", "href", "xlink:href", "poster", "background", "data", "manifest", "codebase", "classid", "archive", "lowsrc",
    "dynsrc", "icon",
}  # fmt: skip
"""Attributes that hold an address."""

SETS = {"srcset", "imagesrcset"}
"""Attributes that hold several, each with a size behind it."""

STYLED = {
    "style", "fill", "stroke", "filter", "mask", "clip-path", "cursor", "marker", "marker-start", "marker-mid",
    "marker-end",
}  # fmt: skip
"""Attributes that are read as CSS, those of SVG included."""

ANIMATED = {"to", "from", "by", "values"}
"""Attributes by which an animation of SVG sets another one."""

LINKS = {"a", "area"}
"""Elements whose ``href`` is followed by a click alone."""

ADDRESS = r"(?:[a-z][a-z0-9+.-]*:)?[/\\]{2}"
"""The begin of an address elsewhere; browsers take a backslash for a slash."""

OUTSIDE = re.compile(ADDRESS, re.IGNORECASE)
STYLE = re.compile(
    rf"""(?:url|src|image)\(\s*["']?\s*{ADDRESS}|@import\s*["']\s*{ADDRESS}"""
    rf"""|image-set\([^;}}]*["']\s*{ADDRESS}""",
    re.IGNORECASE,
)
SCRIPT = re.compile(rf"""\b(?:import|from|fetch|importScripts)\s*\(?\s*["'`]{ADDRESS}""", re.IGNORECASE)
COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))")


def fetched(page: str) -> str:
    """The first thing that a page would fetch from elsewhere, as it stands there; empty where there is none.

    >>> fetched('<p>@import url(http://example.org)</p><a href="http://example.org">a link</a>')
    ''
    >>> fetched('<img alt="" src="//example.org/x.png">')
    '<img src="//example.org/x.png">'
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    """Notes the first address; what stands in comments and in text is neither."""

    def __init__(self) -> None:
        super().__init__()
        self.found = ""
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        given = {name: value or "" for name, value in attrs}
        for name in _outside(tag, given):
            self.found = self.found or f'<{tag} {name}="{given[name][:200]}">'
        self.found = self.found or fetched(given.get("srcdoc", ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        kinds = {"style": style_address, "script": _script_address}
        found = kinds[self._inside](data) if self._inside in kinds else ""
        if found:
            self.found = self.found or f"<{self._inside}>{found[:200]}"


def style_address(css: str) -> str:
    """The first address elsewhere that a style would fetch; empty where there is none."""
    found = STYLE.search(ESCAPE.sub(_unescaped, COMMENT.sub(" ", css)))
    return found[0] if found else ""


def _outside(tag: str, attributes: Mapping[str, str]) -> Iterator[str]:
    """Names of the attributes by which an element fetches."""
    for name, value in attributes.items():
        if name in SETS:
            addresses = value.split(",")
        elif name in URLS and not (tag in LINKS and name.endswith("href")):
            addresses = [value]
        elif name in ANIMATED and tag in ("animate", "set"):
            addresses = value.split(";")
        elif name == "content" and attributes.get("http-equiv", "").strip().lower() == "refresh":
            addresses = re.split("[=;]", value)
        else:
            addresses = []
        if any(map(_is_outside, addresses)) or (name in STYLED and style_address(value)):
            yield name


def _is_outside(address: str) -> bool:
    plain = re.sub(r"[\x00-\x20'\"]", "", address)  # white space is nothing in an address
    return OUTSIDE.match(plain) is not None


def _script_address(code: str) -> str:
    found = SCRIPT.search(code)
    return found[0] if found else ""


def _unescaped(found: re.Match[str]) -> str:
    digits, char = found.groups()
    return char if digits is None else chr(int(digits, 16)) if int(digits, 16) < 0x110000 else "\ufffd"
