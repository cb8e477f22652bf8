"""A drawing as an SVG to stand in a page: inert, in the page's colours and type, the same for the same figures."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from k2lab.show import style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure as Drawing

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
COLOUR = re.compile(r"#[0-9a-f]{6}\b")
FONT = re.compile(r"font: ((?:\w+ )*)([\d.]+px)[^;]*")
FONTS = "var(--jp-ui-font-family, system-ui, sans-serif)"
NAMED = re.compile(r"^#([\w-]+)$|url\(#([\w-]+)\)")
SAID = "k2 says "


def says(artist: Artist, words: str) -> None:
    """What a mark is, for whoever points at it."""
    artist.set_gid(SAID + words)


def written(drawing: Drawing, alt: str) -> str:
    """The drawing as an ``<svg>`` with an alternative text."""
    root = _parsed(drawing)
    for part in list(root):
        if part.tag == f"{SVG}metadata":
            root.remove(part)
    for element in root.iter():
        _restyle(element)
    _name(root)
    width, height = (float(size) for size in root.attrib["viewBox"].split()[2:])
    root.attrib.clear()
    root.attrib.update({"viewBox": f"0 0 {width:g} {height:g}", "width": f"{width:g}pt", "height": f"{height:g}pt"})
    root.attrib.update({"role": "img", "aria-label": alt, "font-family": FONTS})
    ElementTree.register_namespace("", SVG.strip("{}"))
    return ElementTree.tostring(root, encoding="unicode").strip()


def standalone(svg: str) -> str:
    """The same as a file of its own, which is light or dark as its reader's system is."""
    light, dark = (f"svg{{{style.properties(dark=choice)}}}" for choice in (False, True))
    sheet = f"{light}@media(prefers-color-scheme:dark){{{dark}}}"
    head, end, rest = svg.partition(">")
    return f"{head}{end}<style>{sheet}</style>{rest}\n".replace(FONTS, "system-ui, sans-serif")


def _parsed(drawing: Drawing) -> Element:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # the page's fonts may have what matplotlib's lack
        drawing.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return ElementTree.fromstring(out.getvalue())


def _restyle(element: Element) -> None:
    """Colours by name, the page's type, a link within the file as SVG 2 has it."""
    for name in ("style", "fill", "stroke"):
        if name in element.attrib:
            value = FONT.sub(lambda found: _font(*found.groups()), element.attrib[name])
            element.attrib[name] = COLOUR.sub(lambda found: _colour(found[0]), value)
    if LINK in element.attrib:
        element.attrib["href"] = element.attrib.pop(LINK)


def _font(words: str, size: str) -> str:
    return f"font-size: {size}" + ("; font-weight: bold" if {"bold", "700"} & set(words.split()) else "")


def _colour(drawn: str) -> str:
    if drawn == style.INK:
        return "currentColor"
    return f"var(--{style.DRAWN[drawn]}, {drawn})" if drawn in style.DRAWN else drawn


def _name(root: Element) -> None:
    """Names that are used get this drawing's mark, so that two in a page are apart; what a mark says is its title."""
    mark = hashlib.sha256(ElementTree.tostring(root)).hexdigest()[:10]
    used = {name for element in root.iter() for value in element.attrib.values() for name in _named(value)}
    for element in root.iter():
        own = element.attrib.pop("id", "")
        if own.startswith(SAID):
            element.attrib["class"] = "k2-mark"
            title = Element(f"{SVG}title")
            title.text = own.removeprefix(SAID)
            element.insert(0, title)
        elif own in used:
            element.attrib["id"] = f"{own}-{mark}"
        for name, value in element.attrib.items():
            for target in _named(value):
                element.attrib[name] = value.replace(f"#{target}", f"#{target}-{mark}")


def _named(value: str) -> list[str]:
    return [first or second for first, second in NAMED.findall(value)]
