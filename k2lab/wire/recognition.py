"""Whose output a text is, by its own markers."""

from __future__ import annotations

import re

from k2lab.families import K2, K3, Family
from k2lab.wire.bare import BARE_XTML_CALL
from k2lab.wire.marks import is_mentioned
from k2lab.wire.records import MARKER
from k2lab.wire.xtml.tags import ATTRIBUTES

XTML_TAG = re.compile(
    rf"<\|(?:open|close)\|>\s{{0,16}}(?:{'|'.join(ATTRIBUTES)})\b(?:[^<]{{0,256}}<\|sep\|>)?|<\|end_of_msg\|>"
)
XTML_CALL = re.compile(r"<\|open\|>\s{0,16}call\s{1,16}tool=")
SIGN = re.compile(f"(?P<k2>{MARKER.pattern}|<\\|im_(?:end|user|assistant|system|middle)\\|>)|{XTML_TAG.pattern}")


def of_output(text: str) -> Family | None:
    """K2 (that is, K2 to K2.7) or K3, whose markers stand in a text; ``None`` where no marker of either is meant.

    Where both have some, the first counts that is not only spoken of.

    >>> from k2lab import wire
    >>> wire.of_output("Yes.<|close|>think<|sep|><|open|>response<|sep|>No.").name
    'K3'
    """
    for match in SIGN.finditer(text):
        meant = not is_mentioned(text, match.start(), match.end())
        if meant or XTML_CALL.match(text, match.start()):
            return K2 if match["k2"] else K3
    return K3 if BARE_XTML_CALL.search(text) else None
