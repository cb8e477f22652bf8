"""What of a page a browser would fetch or run when it opens it: read from its elements and styles, not from text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
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

FRAMES = {"iframe", "frame", "object", "embed", "portal", "fencedframe"}
"""Elements that hold a page or a program."""

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


def run_by(page: str, allowed: Collection[str] = ()) -> str:
    """The first thing that a page would run beside inline scripts of ``allowed`` SHA-256 digests, each of them once.

    The digests are as a Content-Security-Policy writes them. A script of other
    text, one with an address, a handler, an address that is a script, and a page
    inside the page are found; empty where there is none.

    >>> run_by('<p>onclick=x()</p><p onclick="x()">said</p>')
    '<p onclick="x()">'
    >>> run_by("<script>1</script>", {"a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s="})
    ''
    """
    reader = _Runner(allowed)
    reader.feed(page)
    reader.close()
    return reader.found or (f"<script>{reader.script[:200]}" if reader.script is not None else "")


class _Runner(HTMLParser):
    """Notes the first thing that would run."""

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__()
        self.found = ""
        self.script: str | None = None
        self._left = set(allowed)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name.startswith("on") or _is_script(value or "") or (tag == "script" and name in ("src", "href")):
                self.found = self.found or f'<{tag} {name}="{(value or "")[:200]}">'
        if tag in FRAMES:
            self.found = self.found or f"<{tag}>"
        if tag == "script":
            self.script = ""

    def handle_data(self, data: str) -> None:
        if self.script is not None:
            self.script += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self.script is not None:
            digest = base64.b64encode(hashlib.sha256(self.script.encode("utf-8", "replace")).digest()).decode()
            if digest not in self._left:
                self.found = self.found or f"<script>{self.script[:200]}"
            self._left.discard(digest)
            self.script = None


def _is_script(value: str) -> bool:
    return re.sub(r"[\x00-\x20]", "", value).lower().startswith(("javascript:", "vbscript:", "data:text/html"))


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
