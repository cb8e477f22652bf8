"""Two prompts in the browser, token by token: ids are drawn from a compact list, and only what changed is sent."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anywidget

from k2lab.legible import visible
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.show.parts import sheet
from k2lab.widgets.exploring import Segment
from k2lab.widgets.splices import splice

TAGS = ("equal", "delete", "insert", "replace")
HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What the view shows: the ids of both sides, the segments that tile them, and lines of text by name."""

    left: Sequence[int] = ()
    right: Sequence[int] = ()
    segments: Sequence[Segment] = ()
    lines: Mapping[str, str] = field(default_factory=dict)
    tokenizer: Tokenizer | None = field(default=None, compare=False)


class PairView(anywidget.AnyWidget):
    """The view of a :class:`Pair`. It asks for the whole where it has missed a part."""

    _esm = HERE / "pairview.js"
    _css = sheet() + HERE.joinpath("pairview.css").read_text(encoding="utf-8")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pair = Pair()
        self._number = 0
        self._named: set[int] = set()
        self.on_msg(self._asked)

    def show(self, pair: Pair) -> None:
        """Show another pair: send what differs from the last one."""
        old, self.pair = self.pair, pair
        self._number += 1
        self._post(old, pair, self._number - 1)

    def _asked(self, widget: object, content: object, buffers: object) -> None:
        if isinstance(content, Mapping) and content.get("ask") == "whole":
            self._named = set()
            self._post(Pair(), self.pair, 0)

    def _post(self, old: Pair, new: Pair, base: int) -> None:
        self.send(*message(old, new, base=base, number=self._number, named=self._named))


def message(old: Pair, new: Pair, *, base: int, number: int, named: set[int]) -> tuple[dict[str, Any], list[bytes]]:
    """What brings the state ``base`` to ``number``: splices, new lines, and the pieces of ids not in ``named`` yet.

    Ids are in the buffers, 32 bits each, left then right. ``base`` 0 is the empty state.
    """
    ids = {"left": splice(old.left, new.left), "right": splice(old.right, new.right)}
    cut = splice(old.segments, new.segments)
    fresh = {token for change in ids.values() for token in change.put} - named
    named |= fresh
    content = {
        "base": base,
        "number": number,
        **{name: [change.at, change.drop] for name, change in ids.items()},
        "segments": [cut.at, cut.drop, [[TAGS.index(part.tag), *part[1:3], visible(part.owner)] for part in cut.put]],
        "pieces": {str(token): _piece(token, new.tokenizer) for token in fresh},
        "lines": {name: visible(line) for name, line in new.lines.items() if old.lines.get(name) != line},
    }
    return content, [array("i", change.put).tobytes() for change in ids.values()]


def _piece(token: int, tokenizer: Tokenizer | None) -> str:
    return "" if tokenizer is None else visible(tokenizer.decode([token]))
