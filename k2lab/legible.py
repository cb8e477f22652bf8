"""Text made legible: what would move a cursor, turn the writing, hide itself or have no bytes is written out."""

from __future__ import annotations

import re

HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but for tab and line feed, DEL, C1
    "\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, marks and fillers without a shape
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"  # no width; turns of direction
    "\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # marks; tags
    "\ud800-\udfff]"
    "|(?<![^\x00-\u02ff\u200c\u200d])[\u200c\u200d]"  # joiners, but between letters that they join
    "|[\u200c\u200d](?![^\x00-\u02ff\u200c\u200d])"
)
"""What does not show itself; a carriage return is one, since it lets a line write over itself."""

MOST = 2000
"""Characters of a line for a person: whatever a file or a server says, it leaves the rest of the terminal."""


def visible(text: str) -> str:
    r"""A text in which everything can be seen, its lines and tabs as they are: the rest is written as in Python.

    >>> visible("a\x1b[2J b\u202ec \ud800")
    'a\\x1b[2J b\\u202ec \\ud800'
    """
    if text.isascii() and text.isprintable():
        return text
    return HIDDEN.sub(_written, text)


def one_line(value: object, most: int = MOST) -> str:
    r"""A value's text as one line of at most ``most`` characters.

    >>> one_line("two\nlines\x07")
    'two lines\\x07'
    """
    return shortened(visible(" ".join(shortened(str(value), 8 * most).split())), most)


def shortened(text: str, most: int = MOST) -> str:
    """A text of at most ``most`` characters: of a longer one the beginning and the end, and how much is left out.

    >>> shortened("a" * 30 + "b" * 30, 40)
    'aaaaaaaa… 44 characters …bbbbbbbb'
    """
    if len(text) <= most:
        return text
    kept = max(0, (most - 24) // 2)
    return f"{text[:kept]}… {len(text) - 2 * kept} characters …{text[len(text) - kept :]}"


def _written(found: re.Match[str]) -> str:
    return "".join(char.encode("ascii", "backslashreplace").decode() if char > "\x7f" else f"\\x{ord(char):02x}"
                   for char in found[0])  # fmt: skip
