"""Headers on their way: what belongs to one connection stays behind, the rest goes on as it came."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, AnyStr

from k2lab.traffic.own_errors import Refused, reason_of

if TYPE_CHECKING:
    from multidict import CIMultiDict, CIMultiDictProxy

HOP = (
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "http2-settings",
)  # fmt: skip
"""Headers of one connection (RFC 9110, 7.6.1; RFC 9112, 9.6)."""

ANEW = ("content-length", "host", "expect")
"""Of a request: made anew for the upstream, or answered here."""

KEY_HEADER = "x-k2lab-key"
DROPPED = frozenset((*HOP, *ANEW, KEY_HEADER))
DROPPED_BACK = frozenset(name.encode() for name in (*HOP, "content-length"))
VIA = "via"
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
EMPTY_STATUS = frozenset((204, 304))


def onward(headers: CIMultiDictProxy[str], via: str) -> CIMultiDict[str]:
    """A request's headers as the upstream gets them, with the proxy's name in ``Via``.

    Raises :class:`Refused` for what cannot be passed on as it is.
    """
    from multidict import CIMultiDict

    dropped = DROPPED
    if "connection" in headers:
        dropped = dropped.union(*map(_parts, headers.getall("connection")))
    passed = CIMultiDict([pair for pair in headers.items() if pair[0].lower() not in dropped])
    _check_text(passed)
    passed[VIA] = ", ".join([*passed.getall(VIA), f"1.1 {via}"]) if VIA in passed else f"1.1 {via}"
    return passed


def backward(
    status: int, reason: str | None, raw: Iterable[tuple[bytes, bytes]], ours: Mapping[str, str]
) -> Iterator[bytes]:
    """An answer's status line and headers as the client gets them, but for length and connection; one line each.

    ``ours`` takes the place of headers of the same names. Raises :class:`Refused` for what is no header.
    """
    phrase = (reason_of(status) if reason is None else reason).encode("utf-8", "surrogateescape")
    yield b"HTTP/1.1 %d %b\r\n" % (status, b"" if CONTROL.search(phrase) else phrase)
    lines = [(name.lower(), name, value) for name, value in raw]
    left_out = DROPPED_BACK.union((name.encode() for name in ours), *(
        _parts(value) for low, _, value in lines if low == b"connection"))  # fmt: skip
    for low, name, value in lines:
        if low not in left_out:
            if CONTROL.search(value) or CONTROL.search(name):
                raise Refused(502, "upstream_garbage",
                              "the upstream answered with a header that is none: look into its log",
                              ended="upstream_broke")  # fmt: skip
            yield b"%b: %b\r\n" % (name, value)
    for key, text in ours.items():
        yield b"%b: %b\r\n" % (key.encode(), CONTROL.sub(b"?", text.encode("ascii", "backslashreplace")))


def loops(headers: CIMultiDictProxy[str], via: str) -> bool:
    """Whether a request has passed this proxy before."""
    return VIA in headers and any(via in value for value in headers.getall(VIA))


def _parts(value: AnyStr) -> list[AnyStr]:
    """The headers that a value of ``Connection`` names as belonging to it, in small letters."""
    comma = "," if isinstance(value, str) else b","
    return [part.strip().lower() for part in value.split(comma)]


def check_coding(headers: CIMultiDictProxy[str]) -> None:
    """Raise :class:`Refused` for a body whose transfer coding would have to be undone."""
    coding = headers.get("transfer-encoding")
    if coding is not None and coding.strip().lower() != "chunked":
        raise Refused(
            501, "bad_framing", "a transfer-encoding other than chunked is not passed on: send the body as it is"
        )


def _check_text(headers: CIMultiDict[str]) -> None:
    """Refuse what would be lost: bytes that are no UTF-8."""
    try:
        "".join(headers.values()).encode()
    except UnicodeEncodeError:
        raise Refused(400, "bad_header", "a header is not UTF-8, and cannot be passed on: encode its value") from None
