r"""The formats of Draft 2020-12 (Validation, section 7.3), each as a pattern after its own standard's grammar.

A format is an annotation: a validator that is not told to asserts none. So one
that a pattern cannot hold is left open, never narrowed, and named.

=====================  ==============================  =========================================================
format                 grammar                         what else the standard says, and the pattern does not hold
=====================  ==============================  =========================================================
date                   RFC 3339, 5.6 and appendix C    (leap years are held)
time, date-time        RFC 3339, 5.6                   at 60 seconds the offset must make it 23:59 in UTC; that is
                                                       held for ``Z`` and open for the others
duration               RFC 3339, appendix A
email                  RFC 5321, 4.1.2 and 4.1.3       at most 64 and 255 octets (4.5.3.1); of address literals IPv4
                                                       and the one registered tag, IPv6
idn-email              RFC 6531, 3.3                   any character beyond ASCII may stand in a label
hostname               RFC 1123, 2.1; RFC 952          at most 253 characters in all; what ``xn--`` stands for
idn-hostname           RFC 5890, 2.3.2.3               any character beyond ASCII may stand in a label, of any length
ipv4                   RFC 2673, 3.2
ipv6                   RFC 4291, 2.2; RFC 3986, 3.2.2
uri, uri-reference     RFC 3986, appendix A
iri, iri-reference     RFC 3987, 2.2
uri-template           RFC 6570, 2                     (an apostrophe is a literal: erratum 6937)
uuid                   RFC 4122, 3
json-pointer           RFC 6901, 3
relative-json-pointer  draft-bhutton-relative-json-
                       pointer-00, 3
regex                  ECMA-262, 21.2.1                all of it: groups within groups are beyond a pattern
=====================  ==============================  =========================================================

Letters of an ABNF are of either case (RFC 5234, 2.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TypeGuard

from k2lab.enforcer.schema import characters, patterns

_BEYOND_ASCII = "\x80-\U0010ffff"

_YEAR = r"[0-9]{4}"
_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_DATE = f"(?:{_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)"

_HOUR, _MINUTE, _FRACTION = r"(?:[01][0-9]|2[0-3])", r"[0-5][0-9]", r"(?:\.[0-9]+)?"
_OFFSET = f"[+-]{_HOUR}:{_MINUTE}"
_TIME = (
    f"(?:{_HOUR}:{_MINUTE}:[0-5][0-9]{_FRACTION}(?:[Zz]|{_OFFSET})"
    f"|23:59:60{_FRACTION}[Zz]|{_HOUR}:{_MINUTE}:60{_FRACTION}{_OFFSET})"
)

_SECONDS = "[0-9]+[Ss]"
_MINUTES = f"[0-9]+[Mm](?:{_SECONDS})?"
_HOURS = f"[0-9]+[Hh](?:{_MINUTES})?"
_CLOCK = f"[Tt](?:{_HOURS}|{_MINUTES}|{_SECONDS})"
_DAYS = "[0-9]+[Dd]"
_MONTHS = f"[0-9]+[Mm](?:{_DAYS})?"
_YEARS = f"[0-9]+[Yy](?:{_MONTHS})?"
_DURATION = f"[Pp](?:(?:{_DAYS}|{_MONTHS}|{_YEARS})(?:{_CLOCK})?|{_CLOCK}|[0-9]+[Ww])"

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"

_PIECE = "[0-9A-Fa-f]{1,4}"
_LAST = f"(?:{_PIECE}:{_PIECE}|{_IPV4})"
_BEFORE = [f"(?:(?:{_PIECE}:){{0,{count}}}{_PIECE})?" for count in range(7)]
_IPV6 = "|".join(
    [
        f"(?:{_PIECE}:){{6}}{_LAST}",
        f"::(?:{_PIECE}:){{5}}{_LAST}",
        *(f"{_BEFORE[4 - count]}::(?:{_PIECE}:){{{count}}}{_LAST}" for count in range(4, -1, -1)),
        f"{_BEFORE[5]}::{_PIECE}",
        f"{_BEFORE[6]}::",
    ]
)

_LETTER_DIGIT = "[0-9A-Za-z]"
_LABEL = f"{_LETTER_DIGIT}(?:[0-9A-Za-z-]{{0,61}}{_LETTER_DIGIT})?"
_HOSTNAME = rf"{_LABEL}(?:\.{_LABEL})*"
_IDN_LABEL_END = "[0-9A-Za-z\x80-\u3001\u3003-\uff0d\uff0f-\uff60\uff62-\U0010ffff]"
_IDN_LABEL = f"{_IDN_LABEL_END}(?:{_IDN_LABEL_END[:-1]}-]*{_IDN_LABEL_END})?"
_IDN_HOSTNAME = f"{_IDN_LABEL}(?:[.\u3002\uff0e\uff61]{_IDN_LABEL})*"


def _mailbox(beyond: str) -> str:
    """``Mailbox`` of RFC 5321, where some characters beyond ASCII may stand (RFC 6531) or none."""
    atom = f"[0-9A-Za-z!#$%&'*+/=?^_`{{|}}~{beyond}-]+"
    quoted = rf'"(?:[ !#-\[\]-~{beyond}]|\\[ -~])*"'
    end = f"[0-9A-Za-z{beyond}]"
    label = f"{end}(?:[0-9A-Za-z{beyond}-]*{end})?"
    number = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
    literal = rf"\[(?:{number}(?:\.{number}){{3}}|[Ii][Pp][Vv]6:(?:{_IPV6}))\]"
    return rf"(?:{atom}(?:\.{atom})*|{quoted})@(?:{label}(?:\.{label})*|{literal})"


_PERCENT = "%[0-9A-Fa-f]{2}"
_UCS = "\xa0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef" + "".join(
    f"{chr(plane << 16)}-{chr((plane << 16) + 0xFFFD)}" for plane in range(1, 14)
) + "\U000e1000-\U000efffd"  # fmt: skip
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"


def _reference(ucs: str, private: str, *, absolute: bool) -> str:
    """``URI`` or ``URI-reference`` of RFC 3986, or with characters beyond ASCII ``IRI`` of RFC 3987."""
    free = rf"A-Za-z0-9._~!$&'()*+,;={ucs}-"
    char = f"(?:[:@{free}]|{_PERCENT})"
    host = rf"(?:\[(?:{_IPV6}|[Vv][0-9A-Fa-f]+\.[:A-Za-z0-9._~!$&'()*+,;=-]+)\]|(?:[{free}]|{_PERCENT})*)"
    authority = rf"(?:(?:[:{free}]|{_PERCENT})*@)?{host}(?::[0-9]*)?"
    segments = f"(?:/{char}*)*"
    rooted = f"//{authority}{segments}|/(?:{char}+{segments})?"
    tail = rf"(?:\?(?:[/?:@{private}{free}]|{_PERCENT})*)?(?:#(?:[/?:@{free}]|{_PERCENT})*)?"
    whole = f"[A-Za-z][A-Za-z0-9+.-]*:(?:{rooted}|{char}+{segments})?{tail}"
    return whole if absolute else f"{whole}|(?:{rooted}|(?:[@{free}]|{_PERCENT})+{segments})?{tail}"


_VARIABLE = rf"(?:[A-Za-z0-9_]|{_PERCENT})(?:\.?(?:[A-Za-z0-9_]|{_PERCENT}))*(?::[1-9][0-9]{{0,3}}|\*)?"
_TEMPLATE = rf"(?:[!#$&'(-;=?-\[\]_a-z~{_UCS}{_PRIVATE}]|{_PERCENT}|\{{[+#./;?&=,!@|]?{_VARIABLE}(?:,{_VARIABLE})*\}})*"

_RARE = "|".join(f"\\x{code:02x}" for code in range(0x20) if code not in characters.SHORT_ESCAPES)
_POINTER = rf"(?:/(?:[^/~]|~[01]|{_RARE})*)*"
_NATURAL = "(?:0|[1-9][0-9]*)"

FORMATS: Mapping[str, str] = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}[Tt]{_TIME}",
    "duration": _DURATION,
    "email": _mailbox(""),
    "idn-email": _mailbox(_BEYOND_ASCII),
    "hostname": _HOSTNAME,
    "idn-hostname": _IDN_HOSTNAME,
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "uri": _reference("", "", absolute=True),
    "uri-reference": _reference("", "", absolute=False),
    "iri": _reference(_UCS, _PRIVATE, absolute=True),
    "iri-reference": _reference(_UCS, _PRIVATE, absolute=False),
    "uri-template": _TEMPLATE,
    "uuid": "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",
    "json-pointer": _POINTER,
    "relative-json-pointer": rf"{_NATURAL}(?:[+-][1-9][0-9]*)?(?:{_POINTER}|#)",
}
"""By format, what a whole value of it matches, as :mod:`re` reads it."""

OPEN: Mapping[str, str] = {
    "time": "a leap second may stand beside any offset",
    "date-time": "a leap second may stand beside any offset",
    "hostname": "neither the 253 characters of a whole name nor what xn-- stands for are held",
    "idn-hostname": "which characters beyond ASCII a label may have, and its length, are not held",
    "idn-email": "which characters beyond ASCII a domain may have is not held",
    "regex": "regular expressions have groups within groups, which no pattern can hold",
}
"""By format, what the grammar lets pass and a validator that asserts formats refuses."""

LARGEST = 1 << 16
"""No format has so many characters with its repetitions written out."""


def is_known(name: object) -> TypeGuard[str]:
    """Whether a format is one of Draft 2020-12; any other says nothing that could be held."""
    return isinstance(name, str) and (name in FORMATS or name in OPEN)


@cache
def whole(name: str) -> patterns.Whole | None:
    """The pattern of a format as the text of a JSON string; none for one that is not held, or not known."""
    pattern = FORMATS.get(name)
    return patterns.whole(f"^(?:{pattern})$", LARGEST) if pattern else None
