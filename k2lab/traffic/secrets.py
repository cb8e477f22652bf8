"""What is kept out of a record: keys, mail addresses, and what a pattern of the user's finds, each a rule of a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from k2lab.errors import InputError, first_line

Span = tuple[int, int]

WINDOW = 1 << 16
"""Characters that are searched at once: Python's search lets no other thread run before its end."""

LONGEST = 1 << 14
"""Characters of what is found that may reach beyond a window; a private key of 16,384 bits has 12,800."""

HINT_BEFORE = 32
"""Characters before a match in which its hint may stand: the name of what is found in a URL's query."""

_BEFORE = "(?<![A-Za-z0-9])"
_PREFIXED = (
    r"sk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, Moonshot and many more
    r"hf_[A-Za-z0-9]{20,}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"AIza[A-Za-z0-9_-]{30,}",
    r"(?:gsk|npm)_[A-Za-z0-9]{20,}",
    r"pypi-[A-Za-z0-9_-]{30,}",
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",  # a JSON web token
    r"(?:[Bb]earer|BEARER|[Bb]asic|BASIC)[ \t]{1,4}[A-Za-z0-9._~+/=-]{16,}",
)
_PEM = r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----END)[\s\S])*+(?:-----END[A-Z0-9 ]{0,50}-----)?"
_IN_URL = r"(?<=://)(?!git@)[^\s/@\"'<>\\]{1,300}@(?=[\w\[])"
_NAMES = ("key", "api_key", "apikey", "api-key", "token", "access_token", "secret", "password", "sig")
_IN_QUERY = rf"(?:{'|'.join(rf'(?<=[?&]{name}=)' for name in _NAMES)})[^\s&#\"'<>\\]{{6,}}"
KEY = re.compile(f"{_BEFORE}(?:{'|'.join(_PREFIXED)})|{_PEM}|{_IN_URL}|{_IN_QUERY}")
KEY_HINTS = (
    *("sk-", "hf_", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "AIza"),
    *("gsk_", "npm_", "pypi-", "eyJ", "earer", "EARER", "asic", "ASIC", "PRIVATE KEY", "@", "token=", "key="),
    *("secret=", "password=", "sig="),
)
"""One of these stands in whatever :data:`KEY` finds."""

MAIL = re.compile(r"(?<![\w.%+-])(?!git@)[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")

NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What is looked for and by what it is replaced; without ``hints`` it may stand in any text. It can be pickled."""

    name: str
    mark: str
    spans: Callable[[str], Iterator[Span]]
    hints: tuple[str, ...] = ()


def rules_of(names: Iterable[str] = ("keys",), patterns: Iterable[str] = ()) -> tuple[Rule, ...]:
    """The rules of these names (``keys``, ``mails``) and of patterns, each ``NAME=PATTERN`` in the syntax of RE2.

    RE2 reads in time that grows with the text alone, whatever the pattern is.
    Raises :class:`InputError` for an unknown name, and a pattern that is none or finds nothing at all everywhere.

    >>> [rule.mark for rule in rules_of(("keys", "mails"), ["badge=B-[0-9]+"])]
    ['[key]', '[mail]', '[redacted:badge]']
    """
    known = {"keys": _keys, "mails": _mails}
    made = []
    for name in dict.fromkeys(names):
        if name not in known:
            raise InputError(f"there is no rule {name!r} for what is kept out of a record: choose keys or mails")
        made.append(known[name]())
    return (*made, *(_pattern(one) for one in patterns))


def holder_of(hints: Collection[str]) -> Callable[[bytes], bool]:
    """Says of a body of JSON whether one of the hints can be in it, as it stands or with a character escaped.

    An escaped slash hides those alone that hold one; grammars are full of it. With RE2
    in one pass, a tenth of the time that a search for each takes.
    """
    slash = [r"\\/"] if any("/" in hint for hint in hints) else []
    found = "|".join((*map(re.escape, sorted(hints)), r"\\u00[2-7]", *slash))
    try:
        import re2
    except ImportError:
        pattern = re.compile(found.encode())
        return lambda body: pattern.search(body) is not None
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    quick = re2.compile(found.encode(), options=options)
    return lambda body: quick.search(body) is not None


def _keys() -> Rule:
    return Rule(name="key", mark="[key]", spans=partial(_found, KEY, KEY_HINTS), hints=KEY_HINTS)


def _mails() -> Rule:
    return Rule(name="mail", mark="[mail]", spans=partial(_found, MAIL, ("@",)), hints=("@",))


def _found(pattern: re.Pattern[str], hints: Sequence[str], text: str) -> Iterator[Span]:
    """Spans of a pattern, a window at a time; what reaches over a window's end is read on to its own.

    A window without a hint is passed over: looking for all of them takes a fifth of the time of the pattern.
    """
    at = 0
    while at < len(text):
        end = min(len(text), at + WINDOW)
        if all(text.find(hint, max(0, at - HINT_BEFORE), end + LONGEST) < 0 for hint in hints):
            at = end
            continue
        match = pattern.search(text, at, min(len(text), end + LONGEST))
        if match is None or match.start() >= end:
            at = end
            continue
        if match.end() == end + LONGEST:
            match = pattern.match(text, match.start()) or match
        yield match.span()
        at = max(match.end(), match.start() + 1)


def _pattern(given: str) -> Rule:
    name, _, pattern = given.partition("=")
    if not NAME.fullmatch(name) or not pattern:
        raise InputError(f"{given[:60]!r} is no rule: write NAME=PATTERN, the name in small letters, as badge=B-[0-9]+")
    compiled = _compiled(name, pattern)
    if compiled.search(b""):
        raise InputError(f"the pattern of {name} finds nothing at all in any text: {pattern[:60]!r}")
    return Rule(name=name, mark=f"[redacted:{name}]", spans=partial(_byte_spans, compiled))


def _compiled(name: str, pattern: str) -> re.Pattern[bytes]:
    try:
        import re2
    except ImportError:
        raise InputError("a pattern of your own needs google-re2: pip install 'k2lab[traffic]'") from None
    options = re2.Options()
    options.log_errors = False
    try:
        found: re.Pattern[bytes] = re2.compile(pattern.encode(), options=options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        raise InputError(f"the pattern of {name} is none of RE2's: {first_line(words, 100)}") from None
    return found


def _byte_spans(pattern: re.Pattern[bytes], text: str) -> Iterator[Span]:
    """Spans in characters of what a pattern finds in the text's UTF-8."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) == len(text):
        yield from (match.span() for match in pattern.finditer(data))
        return
    at = chars = 0
    for match in pattern.finditer(data):
        start = chars + _characters(data[at : match.start()])
        chars = start + _characters(match[0])
        at = match.end()
        yield start, chars


def _characters(data: bytes) -> int:
    return len(data) - sum(map(data.count, _CONTINUED))


_CONTINUED = [bytes([byte]) for byte in range(0x80, 0xC0)]
