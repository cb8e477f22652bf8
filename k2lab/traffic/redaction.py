r"""What is kept out of a record is replaced before it is written: in JSON, however it is escaped, in text, in streams.

A string of JSON is read as what it says, a text of JSON in it (a call's arguments) too,
down to :data:`DEEPEST` texts in texts. What a stream gives in pieces is searched as the
text that the pieces make, and where something is found the pieces from the first that
changes to the last hold the new text in the first of them. All other bytes stay.

What cannot be seen, and is not replaced: a secret that is encoded (base64, a picture, UTF-16), that stands in several
strings of a request, or that was cut so short that it is no longer recognised. A body whose
compression could not be undone is left out whole.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from k2lab import jsonread
from k2lab.traffic.exchanges import Passed
from k2lab.traffic.secrets import Rule, Span, holder_of

DEEPEST = 4
"""Texts of JSON in strings of JSON that are read."""

MORE = 4096
"""A text that is made longer than twice its length and this many characters is replaced as a whole."""

STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
NUMBER = re.compile(r"-?\d[\d.eE+-]*")
DATA = re.compile(rb"^(data:[ ]?)(.*?)(\r?)$", re.MULTILINE)
PIECES = frozenset(
    ("content", "reasoning_content", "reasoning", "text", "arguments", "delta", "thinking", "partial_json", "refusal")
)
"""Names under which streams of the three APIs give a text in pieces."""
PIECE = re.compile(rb'"(%s)":[ ]?"((?:[^"\\]++|\\.)*+)"' % "|".join(sorted(PIECES)).encode())
MIXED = re.compile(rb'index":[ ]?[1-9]')
COUNTED = ("index", "output_index", "content_index", "item_id", "type")
"""What tells texts of one stream apart, beside where they stand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Redaction:
    """The rules, ready to be used on exchanges; without rules nothing is changed."""

    rules: tuple[Rule, ...] = ()
    _held: Callable[[bytes], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        every = all(rule.hints for rule in self.rules)
        hints = {hint for rule in self.rules for hint in rule.hints} if every else {""}
        object.__setattr__(self, "_held", holder_of(hints))

    def __reduce__(self) -> tuple[Callable[[], Redaction], tuple[()]]:
        """Pickled it is its rules."""
        return partial(Redaction, rules=self.rules), ()

    def passed(self, passed: Passed) -> tuple[Passed, dict[str, int]]:
        r"""An exchange without what the rules find, and how often each found something.

        >>> from k2lab.traffic.secrets import rules_of
        >>> passed = Passed(key="1", started_at=1.0, method="POST", path="/", status=200, ended="whole",
        ...                 request=b'{"user": "\\u0073k-0123456789abcdef"}', answer=b"")
        >>> made, counts = Redaction(rules=rules_of()).passed(passed)
        >>> made.request, counts
        (b'{"user": "[key]"}', {'key': 1})
        """
        if not self.rules or self._is_clean(passed):
            return passed, {}
        counts: Counter[str] = Counter()
        changed: dict[str, Any] = {}
        for name in ("request", "answer", "sent", "given"):
            body = getattr(passed, name)
            if body is None:
                continue
            kind = passed.request_type if name in ("request", "sent") else passed.answer_type
            made = self.body(body, kind, counts)
            if made is not body:
                changed[name] = made
        if self._may_hold(passed.path.encode("utf-8", "surrogatepass")):
            path = self._text(passed.path, counts, DEEPEST)
            changed |= {"path": path} if path != passed.path else {}
        return (replace(passed, **changed) if changed else passed), dict(counts)

    def _is_clean(self, passed: Passed) -> bool:
        """Whether nothing can be found, which is seen at one look: of whole bodies that are read, most hold nothing."""
        request, answer = passed.request_type, passed.answer_type
        if "event-stream" in answer or "; encoding=" in request or "; encoding=" in answer:
            return False
        path = passed.path.encode("utf-8", "surrogatepass")
        parts = (path, passed.request, passed.answer, passed.sent or b"", passed.given or b"")
        streamed = any(part.startswith((b"data:", b"event:")) for part in parts)
        return not streamed and not self._held(b"\n".join(parts))

    def text(self, text: str) -> str:
        """A text of k2lab's own without what the rules find."""
        return self._text(text, Counter(), DEEPEST)

    def body(self, body: bytes, kind: str, counts: Counter[str]) -> bytes:
        """A body without what the rules find; the same object where there is nothing to replace."""
        if "; encoding=" in kind and body:
            counts["unreadable"] += 1
            return b"[left out: its compression could not be undone]"
        streamed = "event-stream" in kind or body.startswith((b"data:", b"event:"))
        in_pieces = streamed and self._pieces_may_hold(body)
        if not in_pieces and not self._may_hold(body):
            return body
        made = self._stream(body, counts) if in_pieces else body
        text = made.decode("utf-8", "surrogateescape")
        new = self._document(text, counts)
        return made if new == text else _utf8(new)

    def _may_hold(self, body: bytes) -> bool:
        """Whether something in a body can be found at all; quick, since most hold nothing."""
        return bool(body) and self._held(body)

    def _pieces_may_hold(self, body: bytes) -> bool:
        """Whether something in what a stream gives in pieces can be found; where texts may be mixed, it may."""
        if MIXED.search(body):
            return True
        texts: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for name, text in PIECE.findall(body):
            texts[name].append(text)
        return any(self._may_hold(b"".join(parts)) for parts in texts.values())

    def _document(self, text: str, counts: Counter[str]) -> str:
        """A whole body: strings of JSON, what stands between them, and where it is no JSON, the text as it stands."""
        made = self._strings(text, counts, 0, between=self._between)
        if _is_json(text) or all(_is_event(line.rstrip("\r")) for line in text.split("\n")):
            return made
        return self._plain(made, counts)

    def _between(self, text: str, counts: Counter[str]) -> str:
        """What stands between strings: a number in which something is found becomes a string."""

        def number(match: re.Match[str]) -> str:
            made = self._plain(match[0], counts)
            return match[0] if made == match[0] else f'"{made}"'

        return NUMBER.sub(number, text) if any(not rule.hints for rule in self.rules) else text

    def _strings(
        self, text: str, counts: Counter[str], depth: int, between: Callable[[str, Counter[str]], str] | None = None
    ) -> str:
        """A text with each string of JSON in it read and, where something is found, written anew."""
        parts, last = [], 0
        for match in STRING.finditer(text):
            gap = text[last : match.start()]
            parts.append(between(gap, counts) if between else gap)
            parts.append(self._string(match[0], counts, depth))
            last = match.end()
        parts.append(between(text[last:], counts) if between else text[last:])
        return "".join(parts)

    def _string(self, written: str, counts: Counter[str], depth: int) -> str:
        if "\\" not in written:
            inner = written[1:-1]
            made = self._plain(inner, counts)
            return written if made == inner else f'"{made}"'
        try:
            said = json.loads(written, strict=False)
        except ValueError:
            made = self._plain(written[1:-1], counts)
            return written if made == written[1:-1] else '"[redacted]"'
        made = self._text(said, counts, depth + 1)
        return written if made == said else _written(made)

    def _text(self, text: str, counts: Counter[str], depth: int) -> str:
        """What a string says: text, in which JSON may stand."""
        made = self._strings(text, counts, depth) if depth < DEEPEST and '"' in text else text
        return self._plain(made, counts)

    def _plain(self, text: str, counts: Counter[str]) -> str:
        made = text
        for rule in self.rules:
            spans = list(rule.spans(made))
            if spans:
                counts[rule.name] += len(spans)
                made = _without(made, spans, rule.mark)
        return made if len(made) <= 2 * len(text) + MORE else "[redacted]"

    def _stream(self, body: bytes, counts: Counter[str]) -> bytes:
        """A stream's events, in whose texts, put together, nothing is found."""
        events = [_Event(match) for match in DATA.finditer(body)]
        texts: defaultdict[object, list[_Piece]] = defaultdict(list)
        for event in events:
            for name, piece in event.pieces():
                texts[name].append(piece)
        for pieces in texts.values():
            self._pieces(pieces, counts)
        parts: list[bytes] = []
        last = 0
        for event in events:
            if event.changed:
                start, end = event.match.span(2)
                parts += [body[last:start], _utf8(_written(event.value))]
                last = end
        return b"".join([*parts, body[last:]])

    def _pieces(self, pieces: Sequence[_Piece], counts: Counter[str]) -> None:
        old = "".join(piece.text for piece in pieces)
        new = self._text(old, counts, 1)
        if new == old:
            return
        most = min(len(old), len(new))
        head = next((at for at in range(most) if old[at] != new[at]), most)
        tail = next((at for at in range(most - head) if old[-1 - at] != new[-1 - at]), most - head)
        at, given = 0, False
        for piece in pieces:
            start, at = at, at + len(piece.text)
            before, behind = piece.text[: max(0, head - start)], piece.text[max(0, len(old) - tail - start) :]
            if at <= head or start >= len(old) - tail:
                continue
            piece.put(before + ("" if given else new[head : len(new) - tail]) + behind)
            given = True


class _Event:
    """The data of one event of a stream, which can be changed."""

    def __init__(self, match: re.Match[bytes]) -> None:
        self.match, self.changed = match, False
        try:
            self.value = jsonread.read_json(match[2].decode("utf-8", "surrogateescape"), constants=True)
        except (jsonread.NotJSON, UnicodeDecodeError):
            self.value = None

    def pieces(self) -> Iterator[tuple[object, _Piece]]:
        """Texts that go on in other events, by what tells them apart."""
        waiting: list[tuple[tuple[object, ...], object]] = [((), self.value)]
        while waiting:
            where, value = waiting.pop()
            if isinstance(value, dict):
                told = (*where, *(str(value[name]) for name in COUNTED if name in value))
                for name, inner in value.items():
                    if isinstance(inner, str) and name in PIECES:
                        yield (*told, name), _Piece(event=self, holder=value, name=name)
                    else:
                        waiting.append(((*told, name), inner))
            elif isinstance(value, list):  # a place in a list is not told: choices and calls have an index of their own
                waiting += [(where, inner) for inner in reversed(value)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    event: _Event
    holder: dict[str, Any]
    name: str

    @property
    def text(self) -> str:
        return str(self.holder[self.name])

    def put(self, text: str) -> None:
        self.holder[self.name] = text
        self.event.changed = True


def _without(text: str, spans: Sequence[Span], mark: str) -> str:
    """The text with a mark in place of each span; spans that touch become one."""
    parts: list[str] = []
    last = 0
    for start, end in spans:
        if start > last or not parts:
            parts += [text[last:start], mark]
        last = end
    return "".join([*parts, text[last:]])


def _written(value: object) -> str:
    """JSON in as few bytes as there can be; half a surrogate pair is escaped, and so a byte that was no UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(value, separators=(",", ":")) if jsonread.LONE_SURROGATE.search(text) else text


def _utf8(text: str) -> bytes:
    """The bytes of a text in which bytes that are no UTF-8 stand as they came."""
    return text.encode("utf-8", "surrogateescape")


def _is_json(text: str) -> bool:
    try:
        jsonread.read_json(text, constants=True)
    except jsonread.NotJSON:
        return False
    return True


def _is_event(line: str) -> bool:
    """Whether a line is one of a stream whose data is JSON: its strings were read."""
    if not line.startswith("data:"):
        return not line or line.startswith(("event:", "id:", "retry:"))
    return line[5:].strip() == "[DONE]" or _is_json(line[5:])
