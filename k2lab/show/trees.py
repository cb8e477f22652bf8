"""A JSON value as a tree: fields and items that open, and the same indented for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from k2lab.legible import shortened
from k2lab.show.parts import View, escape

MOST_LEVELS, MOST_LEAVES = 12, 1000
"""Levels and values of a tree; what lies deeper or comes after stands as text, or is counted."""

LONGEST_LEAF = 4000
OPEN = 12
"""Fields up to which a branch stands open."""


def tree(value: object) -> View:
    """A value as nested lists, ``dl`` within ``details``; what is no branch is as JSON writes it."""
    room = [MOST_LEAVES]
    return _branch(value, 0, room)


def leaf(value: object) -> str:
    """A value as JSON writes it, letters unescaped; what JSON cannot write, as Python does."""
    try:
        said = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        said = repr(value) if not isinstance(value, Mapping | list) else "nested too deep to be shown"
    return shortened(said, LONGEST_LEAF)


def _branch(value: object, level: int, room: list[int]) -> View:
    if not isinstance(value, Mapping | list | tuple) or not value or level >= MOST_LEVELS:
        said = leaf(value)
        return View(html=f"<code>{escape(said)}</code>", text=said)
    shown: list[str] = []
    lines: list[str] = []
    for name, item in _items(value):
        if room[0] <= 0:
            shown.append(f"<dt>⋮</dt><dd>{len(value) - len(lines)} more are left out</dd>")
            lines.append(f"⋮ {len(value) - len(lines)} more are left out")
            break
        room[0] -= 1
        made = _branch(item, level + 1, room)
        branches = isinstance(item, Mapping | list | tuple) and item and level + 1 < MOST_LEVELS
        shown.append(f"<dt>{escape(name)}</dt><dd>{_folded(item, made.html) if branches else made.html}</dd>")
        lines.append(f"{name}:" + ("\n  " + made.text.replace("\n", "\n  ") if branches else f" {made.text}"))
    return View(html=f"<dl>{''.join(shown)}</dl>", text="\n".join(lines))


def _items(value: Mapping[str, object] | list[object] | tuple[object, ...]) -> Iterator[tuple[str, object]]:
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    return ((shortened(str(name), 200), item) for name, item in pairs)


def _folded(item: object, body: str) -> str:
    count = len(item) if isinstance(item, Mapping | list | tuple) else 0
    kind = ("field" if isinstance(item, Mapping) else "item") + "s" * (count != 1)
    return f"<details{' open' * (count <= OPEN)}><summary>{count} {kind}</summary>{body}</details>"
