"""A look at an exchange as it passed: what ``k2lab check`` says of it; run in a process of its own, beside the proxy.

Chat completions, completions, the Responses and the Messages API are read, whole or
streamed. Of another path nothing is said, and what of an API the chat API has no word
for is not seen: such an exchange is never called clean.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import FrameType

from k2lab import jsonread
from k2lab.apis import api_of_path
from k2lab.check.looking import Look
from k2lab.check.together import of_pair
from k2lab.errors import K2LabError
from k2lab.findings import Finding
from k2lab.legible import one_line
from k2lab.traffic.beside import received, send
from k2lab.traffic.exchanges import READ, Passed
from k2lab.traffic.looker import MOST_S, Job
from k2lab.traffic.recordrows import Looked, Noted

CUT_BY_OTHERS = ("client_left", "stopped")
"""How an exchange ended whose answer is not the upstream's whole one."""

OF_ENDS = frozenset({"stream_without_an_end", "no_finish_reason"})
LONGEST_EVIDENCE, LONGEST_PLACE = 300, 200
MOST_NOTED = 100
"""Findings of one exchange that are kept."""

LAST = 19
"""The lowest priority there is."""

SET_DEATH_SIGNAL = 1
"""``PR_SET_PDEATHSIG`` of Linux."""


def of_job(job: Job) -> tuple[Looked, tuple[Noted, ...]]:
    """Whether an exchange was looked at, and what was found: judged as it came, told as it is written."""
    looked, found = of_passed(job.passed)
    if job.redacted is None or not found:
        return looked, found
    known = {(one.name, one.place): one.evidence for one in of_passed(job.redacted)[1]}
    hidden = "not shown: the exchange held what is kept out of the record"
    return looked, tuple(replace(one, evidence=known.get((one.name, one.place), hidden)) for one in found)


def of_passed(passed: Passed) -> tuple[Looked, tuple[Noted, ...]]:
    """What is wrong with an exchange; ``cannot`` where not all of it could be looked at.

    >>> passed = Passed(key="1", started_at=1.0, method="POST", path="/v1/chat/completions", status=200,
    ...     ended="whole", request=b'{"messages": [{"role": "user", "content": "Hi"}]}',
    ...     answer=b'{"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": ""}}]}')
    >>> looked, found = of_passed(passed)
    >>> looked, [one.code for one in found]
    ('yes', ['A111'])
    """
    found: list[Noted] = []
    try:
        for finding in _of_exchange(passed):
            if finding.state == "present" and len(found) < MOST_NOTED:
                found.append(_noted(finding))
    except (K2LabError, jsonread.NotJSON):
        return "cannot", tuple(found)
    return "yes", tuple(found)


def _of_exchange(passed: Passed) -> Iterator[Finding]:
    if passed.method != "POST" or not passed.path.endswith(READ) or "; encoding=" in passed.request_type:
        raise K2LabError("nothing that is read")
    if passed.request_cut:
        raise K2LabError("a part of the request is not there")
    asked = _object(passed.request)
    unasked = passed.ended in ("refused", "unreachable") or (not passed.answer and passed.ended != "whole")
    streamed = "event-stream" in passed.answer_type
    answer = partial(passed.answer.decode, "utf-8", "replace") if streamed else partial(_object, passed.answer)
    without = OF_ENDS if passed.ended in CUT_BY_OTHERS or passed.answer_cut else frozenset()
    for finding in of_pair(
        asked,
        None if unasked else answer,
        api=api_of_path(passed.path),
        sent=None if passed.sent is None else partial(_object, passed.sent),
        streamed=streamed,
        family=Look().family(asked),
    ):
        if finding.name not in without:
            yield finding
    if passed.answer_cut and not unasked:
        raise K2LabError("a part of the answer is not there")


def _object(body: bytes) -> Mapping[str, object]:
    value = jsonread.read_json(body, constants=True)
    lone = b"\\ud" in body.lower() and jsonread.lone_surrogate(value) is not None
    if not isinstance(value, Mapping) or lone:
        raise K2LabError("no object of JSON")
    return value


def _noted(finding: Finding) -> Noted:
    return Noted(
        code=finding.code,
        name=finding.name,
        layer=finding.layer,
        place=one_line(finding.place, LONGEST_PLACE),
        evidence=one_line(finding.evidence, LONGEST_EVIDENCE),
    )


class _TooLongError(Exception):
    """An exchange took more than its time."""


def _too_long(number: int, frame: FrameType | None) -> None:
    raise _TooLongError


def in_time(job: Job) -> tuple[Looked, tuple[Noted, ...]]:
    """The same of a hostile one, too: given up after its time; of the main thread alone, and never raises."""
    signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, MOST_S)
    try:
        return of_job(job)
    except (_TooLongError, Exception):  # whatever stands in it: the next is looked at
        return "cannot", ()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _yield_to_all() -> None:
    """From now on be the last to get a core, and take none from whoever has it."""
    os.nice(LAST)
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main() -> None:
    """Take jobs from standard input, a list at a time, and answer each list; ends with the other end of the pipe."""
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        return
    os.nice(10)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's goes to all; the proxy says when it is over
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    send(answers, "ready")
    while True:
        try:
            asked = received(jobs)
        except EOFError:
            return
        assert isinstance(asked, list)
        send(answers, [in_time(job) for job in asked])
        if os.nice(0) < LAST:  # what a look needs is loaded by now
            _yield_to_all()
