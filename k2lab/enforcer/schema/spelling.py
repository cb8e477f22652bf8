r"""Written patterns spelled otherwise: over the characters themselves, where no JSON is around them.

A pattern that :mod:`k2lab.enforcer.schema.patterns` wrote matches the text of a
JSON string: what has to be escaped stands as its escape, a backslash and one of
``"\\bfnrt`` or a code. Nowhere else does it have a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from k2lab.enforcer.schema.characters import SHORT_ESCAPES, Ranges, escaped
from k2lab.enforcer.schema.ecma262 import Choice, Class, Part, Parts, Repeat, Set, read
from k2lab.enforcer.schema.patterns import either, times

ESCAPE = re.compile(
    r"\\\\(?:u(?P<code>[0-9a-f]{4})|\[(?P<several>(?:\\.|[^\]\\])*)\]|\\?(?P<one>.))|\\.|[^\\]", re.DOTALL
)
"""One escape of JSON as a pattern has it, of a code or of one of some signs; or anything else."""

SIGNS = {sign: code for code, sign in SHORT_ESCAPES.items()}


def plain(pattern: str) -> str:
    r"""A written pattern over the characters that its JSON stands for.

    >>> from k2lab.enforcer.schema.patterns import whole
    >>> plain(whole('^"\\x1ba$').text)
    '[\\x22][\\x1b]a'
    """
    return ESCAPE.sub(_unescaped, pattern)


def _unescaped(found: re.Match[str]) -> str:
    if found["code"]:
        return _set([int(found["code"], 16)])
    signs = (found["several"] or found["one"] or "").replace("\\\\", "\\")
    return _set([SIGNS[sign] for sign in signs]) if signs else found[0]


def _set(codes: list[int]) -> str:
    letters = (rf"\x{code:02x}" for code in codes)
    return f"[{''.join(letters)}]"


def respelled(pattern: str, spell: Callable[[Ranges], str]) -> str:
    """A written pattern, each of its sets as the expression that it is spelled by.

    >>> respelled("(?:a|b[c-d])*", lambda ranges: f"<{chr(ranges[0][0])}>")
    '(?:(?:<a>|<b><c>))*'
    """
    return _Spelling(spell).all(read(pattern))


class _Spelling:
    def __init__(self, spell: Callable[[Ranges], str]) -> None:
        self._spell = spell

    def all(self, parts: Parts) -> str:
        return "".join(map(self._one, parts))

    def _one(self, part: Part) -> str:
        if isinstance(part, Repeat):
            return times(self.all(part.part), part.least, part.most)
        if isinstance(part, Choice):
            return either(list(map(self.all, part.branches)))
        assert isinstance(part, Set) and not part.negated, "a written pattern has neither anchors nor negated sets"
        return self._spell([item for item in part.items if not isinstance(item, Class)])


def one_of(ranges: Ranges) -> str:
    """An expression for one of some characters as they are."""
    return f"[{''.join(f'{escaped(low)}-{escaped(high)}' for low, high in ranges)}]"
