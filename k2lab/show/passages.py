"""An exchange as it passed the proxy: what was asked and came as a transcript, and what was changed on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from k2lab import jsonread
from k2lab.apis import Api, answer_as_chat, api_of_answer, api_of_path, request_as_chat
from k2lab.chat import Answer, Request
from k2lab.check.captures import of_capture
from k2lab.findings import Finding
from k2lab.legible import one_line, shortened
from k2lab.show.cards import finding_cards
from k2lab.show.edits import difference
from k2lab.show.parts import View, escape, joined, line, note, table, text
from k2lab.show.transcript import answer_view, request_view
from k2lab.show.trees import tree
from k2lab.traffic.exchanges import Passed

CHAT, PLAIN = "/chat/completions", "/completions"
STREAM = "text/event-stream"
MOST_CHANGES = 200
LONGEST_BODY = 200_000
"""Characters of a body that is shown as it came."""

ENDINGS: Mapping[str, str] = {
    "whole": "whole",
    "client_left": "the client left",
    "upstream_broke": "the upstream's answer broke off",
    "timed_out": "the upstream's answer came too late",
    "unreachable": "the upstream could not be asked",
    "refused": "refused, and never sent",
    "stopped": "k2lab was stopped in the middle",
}
"""How an exchange ended, in words."""


def passage_view(passed: Passed, findings: Sequence[Finding] | None = None) -> View:
    """One exchange: its findings, its request and answer, and, where it was changed, how.

    Without ``findings`` nothing is said of what is wrong with it.
    """
    return joined(
        _heading(one_line(headline(passed), 300)),
        line(_times(passed)),
        *_cut(passed),
        *_found(findings),
        *_changes(passed),
        _asked(passed),
        _came(passed),
    )


def _found(findings: Sequence[Finding] | None) -> Iterator[View]:
    present = [one for one in findings or () if one.state == "present"]
    if present:
        yield finding_cards(present)
    elif findings is not None:
        yield line("✓ Nothing is wrong with it.")


def headline(passed: Passed) -> str:
    """When and what, in a line."""
    status = passed.status or "no answer"
    ended = "" if passed.ended == "whole" else f", {ENDINGS[passed.ended]}"
    return f"{began(passed.started_at, 'milliseconds')}: {passed.method} {passed.path}, {status}{ended}"


def began(seconds: float, timespec: str = "seconds") -> str:
    """A time as a day and an hour of UTC; a damaged file may hold one that is none."""
    try:
        said = datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec=timespec)
    except (ValueError, OverflowError, OSError):
        return "no time"
    return f"{said.removesuffix('+00:00')} UTC"


def request_of(passed: Passed) -> Request | None:
    """What the client asked, as a chat request; ``None`` for another path, or what is no request."""
    value, api = _json(passed.request), _api_of(passed)
    if api is None or not isinstance(value, dict):
        return None
    asked = request_as_chat(api, value).value
    return Request.unchecked(asked) if isinstance(asked.get("messages"), list) else None


def response_of(passed: Passed, data: bytes) -> Mapping[str, object] | None:
    """An answer's JSON, put together where it was streamed; ``None`` where it has none."""
    if passed.answer_type.startswith(STREAM):
        return of_capture(data.decode("utf-8", "replace")).response
    value = _json(data)
    return value if isinstance(value, dict) else None


def _heading(words: str) -> View:
    return View(html=f"<h4>{escape(words)}</h4>", text=words)


def _times(passed: Passed) -> str:
    first = "" if passed.first_ms is None else f", the first byte after {passed.first_ms:.0f} ms"
    return f"upstream {passed.upstream_ms:.0f} ms{first}; k2lab added {passed.added_ms:.1f} ms; key {passed.key}"


def _cut(passed: Passed) -> Iterator[View]:
    for what, count in (("request", passed.request_cut), ("answer", passed.answer_cut)):
        if count:
            yield note(f"{count:,} bytes at the end of the {what} were too many to keep")


def _changes(passed: Passed) -> Iterator[View]:
    """What the guard says that it changed, and the bodies before and after."""
    if not (passed.changes or passed.sent is not None or passed.given is not None):
        yield line("It went through unchanged.")
        return
    rows = [
        {"what": change.kind, "finding": change.code, "where": change.place, "how": one_line(change.detail, 400)}
        for change in passed.changes[:MOST_CHANGES]
    ]
    more = len(passed.changes) - MOST_CHANGES
    yield table(rows, f"What was changed{f'; {more:,} more' if more > 0 else ''}")
    if passed.sent is not None:
        yield _difference("The request: as it came, and as it was sent on", passed.request, passed.sent)
    if passed.given is not None:
        yield _difference("The answer: as it came, and as it was given on", *_answers(passed))


def _answers(passed: Passed) -> tuple[object, object]:
    """The two answers as JSON where both have it, else as they came."""
    assert passed.given is not None
    before, after = (response_of(passed, data) for data in (passed.answer, passed.given))
    return (before, after) if before is not None and after is not None else (passed.answer, passed.given)


def _difference(title: str, before: object, after: object) -> View:
    values = [_shown(value) if isinstance(value, bytes) else value for value in (before, after)]
    made = difference(*values)
    return View(html=f'<p class="quiet">{escape(title)}</p>{made.html}', text=f"{title}\n{made.text}")


def _asked(passed: Passed) -> View:
    request = request_of(passed)
    if request is not None:
        return request_view(request, "What was asked")
    return _body(f"The request, {passed.request_type or 'no type'}", passed.request)


def _came(passed: Passed) -> View:
    """What the client got."""
    data = passed.answer if passed.given is None else passed.given
    response = None if _api_of(passed) is None else response_of(passed, data)
    said = None if response is None else answer_as_chat(api_of_answer(response) or "chat", response).value
    if said is not None and said.get("choices"):
        return answer_view(Answer.of(said), "What the client got")
    return _body(f"What the client got, {passed.answer_type or 'no type'}", data)


def _body(title: str, data: bytes) -> View:
    value = _shown(data)
    if isinstance(value, str):
        return text(shortened(value, LONGEST_BODY) if value else "(nothing)", title)
    return joined(line(title), tree(value))


def _api_of(passed: Passed) -> Api | None:
    """The API of an exchange that is shown as a chat; a completion's prompt is text."""
    return None if passed.path.endswith(PLAIN) and not passed.path.endswith(CHAT) else api_of_path(passed.path)


def _shown(data: bytes) -> object:
    """JSON as its value, anything else as text."""
    value = _json(data)
    return data.decode("utf-8", "backslashreplace") if value is None else value


def _json(data: bytes) -> object:
    try:
        return jsonread.read_json(data)
    except jsonread.NotJSON:
        return None
