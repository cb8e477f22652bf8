"""A recorded exchange as a line that other commands read: its request and its answer as JSON."""

from __future__ import annotations

from k2lab import jsonread
from k2lab.check.captures import of_capture
from k2lab.traffic.exchanges import READ, Passed
from k2lab.traffic.recordrows import Entry


def line_of(entry: Entry) -> dict[str, object] | None:
    """A request as the upstream got it and its answer; ``None`` for what is no whole chat completion.

    >>> from k2lab.traffic.exchanges import Passed
    >>> passed = Passed(key="1", started_at=1.0, method="POST", path="/v1/chat/completions", status=200,
    ...                 ended="whole", request=b'{"messages": []}', answer=b'{"choices": []}')
    >>> line_of(Entry(passed=passed))
    {'key': '1', 'started_at': 1.0, 'request': {'messages': []}, 'response': {'choices': []}}
    """
    passed = entry.passed
    whole = passed.ended == "whole" and not passed.request_cut and not passed.answer_cut
    if not whole or passed.method != "POST" or not passed.path.endswith(READ):
        return None
    request, answer = _json(passed.request if passed.sent is None else passed.sent), _answer(passed)
    if not isinstance(request, dict) or not isinstance(answer, dict):
        return None
    return {"key": passed.key, "started_at": passed.started_at, "request": request, "response": answer}


def _answer(passed: Passed) -> object:
    if "event-stream" not in passed.answer_type:
        return _json(passed.answer)
    return of_capture(passed.answer.decode("utf-8", "replace")).response


def _json(body: bytes) -> object:
    try:
        return jsonread.read_json(body, constants=True)
    except jsonread.NotJSON:
        return None
