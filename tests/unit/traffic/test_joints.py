"""What a guard and a recorder are to the proxy: what they are given, and what becomes of what they do, faults too."""

import asyncio
import gzip
import json
import time
from collections import Counter

import pytest
import uvloop

from k2lab.traffic.exchanges import Changed
from k2lab.traffic.limits import Limits
from k2lab.traffic.turns import TurnRefusal
from tests.helpers.proxying import proxy
from tests.helpers.scripted import LAST, STREAM, answer, becomes, chunk, client, get, post, scripted

JSON, EVENTS = "content-type: application/json", "content-type: text/event-stream"
ASK = post("/v1/chat/completions", b'{"n": "one"}', JSON, "accept-encoding: gzip")


class Upper:
    """A stream in capitals; an odd byte at the end of a part waits for the next."""

    def __init__(self, turn) -> None:
        self.turn, self.rest = turn, b""

    def feed(self, data: bytes) -> bytes:
        data = self.rest + data
        even = len(data) // 2 * 2
        self.rest = data[even:]
        self.turn.changes.append(Changed(kind="salvage", place="choices[0]", code="O001", detail="capitals"))
        if b"fault" in data:
            raise ValueError("secret")
        return data[:even].upper()

    def end(self) -> bytes:
        return self.rest.upper() + b"!"


class UpperTurn:
    """A real guard in small: it puts the request and the answer in capitals."""

    def __init__(self, body: bytes, *, holds: bool = True, refusal: TurnRefusal | None = None) -> None:
        self.body, self.holds_answer, self.refusal = body.upper(), holds, refusal
        self.changes = [Changed(kind="repair", place="$", code="R001", detail="capitals")]
        self.headers = {"x-k2lab-repaired": "1\r\nset-cookie: evil=1 é"}

    def whole(self, status: int, content_type: str, body: bytes) -> bytes:
        if b"fault" in body:
            raise ValueError("secret")
        return body.upper() + b"!"

    def stream(self) -> Upper:
        return Upper(self)


class UpperGuard:
    """``asked`` is what it was given."""

    def __init__(self, **turn) -> None:
        self.asked, self.turn_of = [], turn

    def turn(self, path: str, content_type: str, body: bytes) -> UpperTurn | None:
        self.asked.append((path, content_type, body))
        if b"fault" in body:
            raise KeyError("secret")
        if b"slow" in body:
            time.sleep(0.3)
        return None if b"leave" in body else UpperTurn(body, **self.turn_of)


class Notes:
    """A recorder in small: what passed, each safe when ``safe`` says so."""

    def __init__(self, *, safe: bool = True, fails: bool = False) -> None:
        self.passed, self.waiting, self.safe, self.fails = [], [], safe, fails
        self.written = self.failed = self.dropped = self.left_out = self.unlooked = self.bytes = 0
        self.findings = Counter({("A001", "model"): 3})

    def take(self, caught):
        if self.fails:
            raise OSError("disk full of secret")
        self.passed.append(caught.passed())
        future = asyncio.get_running_loop().create_future()
        future.set_result(None) if self.safe else self.waiting.append(future)
        return future

    def close(self) -> None:
        pass


def through(*steps, ask=ASK, guard=None, recorder=None, limits=None, **setting):
    """What the upstream saw, what the client got, and the metrics' text."""

    async def run():
        async with (
            scripted(lambda seen: list(steps)) as upstream,
            proxy(upstream.url, guard=guard, recorder=recorder, limits=limits, **setting) as ours,
            client(ours.url) as one,
        ):
            got = await one.ask(ask)
            await becomes(lambda: ours.proxy.open == 0)
            return upstream.seen, got, ours.proxy.metrics.shown("")[0].decode()

    return uvloop.run(run())


def test_a_guard_gets_the_request_and_the_whole_answer_and_what_it_says_goes_on():
    guard, recorder = UpperGuard(), Notes()
    (seen,), got, shown = through(answer(b'{"a": 1}', JSON), guard=guard, recorder=recorder)
    assert guard.asked == [("/v1/chat/completions", "application/json", b'{"n": "one"}')]
    assert seen.body == b'{"N": "ONE"}' and int(seen.one("content-length")) == 12
    assert seen.one("accept-encoding") == b"identity"
    assert got.body == b'{"A": 1}!' and int(got.one("content-length")) == 9
    assert got.one("x-k2lab-repaired") == b"1??set-cookie: evil=1 \\xe9" and "set-cookie" not in got.head
    (passed,) = recorder.passed
    assert (passed.request, passed.sent) == (b'{"n": "one"}', b'{"N": "ONE"}')
    assert (passed.answer, passed.given) == (b'{"a": 1}', b'{"A": 1}!')
    assert passed.ended == "whole" and passed.status == 200 and [change.code for change in passed.changes] == ["R001"]
    assert 'k2lab_proxy_changes_total{code="R001",kind="repair"} 1.0' in shown
    assert 'k2lab_proxy_findings_total{code="A001",layer="model"} 3.0' in shown


def test_a_guard_gets_a_stream_as_it_comes():
    guard, recorder = UpperGuard(), Notes()
    head = STREAM.replace(b"200 OK", b"200 Fine")
    _, got, _ = through(head, chunk(b"abc"), chunk(b"de"), LAST, guard=guard, recorder=recorder)
    assert got.whole and got.body == b"ABCDE!" and got.first == b"HTTP/1.1 200 Fine"
    assert recorder.passed[0].answer == b"abcde" and recorder.passed[0].given == b"ABCDE!"
    assert {change.kind for change in recorder.passed[0].changes} == {"repair", "salvage"}


def test_a_stream_that_breaks_off_gives_what_the_guard_still_holds_and_no_end():
    recorder = Notes()
    _, got, _ = through(STREAM, chunk(b"abc"), "close", guard=UpperGuard(), recorder=recorder)
    assert not got.whole and got.body == b"ABC!" and recorder.passed[0].ended == "upstream_broke"


def test_half_an_answer_is_not_given_to_the_guard_and_stays_half():
    recorder = Notes()
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
    _, got, _ = through(head, b"half", "close", guard=UpperGuard(), recorder=recorder)
    assert not got.whole and got.body == b"half" and recorder.passed[0].ended == "upstream_broke"
    _, got, _ = through(head, b"half", "stall", guard=UpperGuard(), limits=Limits(between_s=0.1))
    assert not got.whole and got.body == b"half"


@pytest.mark.parametrize("ask", [get("/v1/models"), post("/v1/embeddings", b"{}"), get("/v1/chat/completions"),
                                 post("/v1/chat/completions", b"leave"), post("/v1/chat", b"{}")])  # fmt: skip
def test_what_is_none_of_the_guards_passes_untouched(ask):
    (seen,), got, _ = through(answer(b"abc"), ask=ask, guard=UpperGuard())
    assert got.body == b"abc" and seen.body == ask.partition(b"\r\n\r\n")[2]
    assert seen.one("accept-encoding") is None and "x-k2lab-repaired" not in got.head


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages", "/v1/chat/%63ompletions", "/v1/messages?beta=true"])
def test_the_guard_is_asked_for_each_api_however_the_path_is_written(path):
    guard = UpperGuard()
    (seen,), _, _ = through(answer(b"abc"), ask=post(path, b"{}"), guard=guard)
    assert len(guard.asked) == 1 and "%" not in guard.asked[0][0] and seen.first.split()[1].decode() == path


def test_an_answer_that_the_turn_does_not_hold_passes_with_its_headers():
    (seen,), got, _ = through(answer(b"abc"), guard=UpperGuard(holds=False))
    assert seen.body == b'{"N": "ONE"}' and seen.one("accept-encoding") == b"gzip"
    assert got.body == b"abc" and "x-k2lab-repaired" in got.head


def test_an_encoding_that_the_guard_cannot_read_passes_and_says_so():
    zipped = gzip.compress(b'{"n": 1}')
    recorder = Notes()
    ask = post("/v1/chat/completions", zipped, JSON, "content-encoding: gzip")
    (seen,), got, _ = through(answer(b"abc"), ask=ask, guard=UpperGuard(), recorder=recorder)
    assert seen.body == zipped and got.body == b"abc"
    assert got.one("x-k2lab-unread") == b"content-encoding gzip"
    assert recorder.passed[0].request == b'{"n": 1}' and recorder.passed[0].sent is None
    _, got, _ = through(answer(b"abc", "content-encoding: br"), guard=UpperGuard(), recorder=recorder)
    assert got.body == b"abc" and got.one("x-k2lab-unread") == b"content-encoding br"
    assert recorder.passed[1].answer == b"abc" and recorder.passed[1].answer_type == "; encoding=br"


def test_a_refusal_of_the_guard_is_the_clients_and_the_upstream_is_not_asked():
    recorder = Notes()
    refusal = TurnRefusal(status=422, message="the schema of get_weather cannot be held: oneOf")
    seen, got, _ = through(answer(b"abc"), guard=UpperGuard(refusal=refusal), recorder=recorder)
    assert seen == [] and got.status == 422 and "oneOf" in json.loads(got.body)["error"]["message"]
    assert recorder.passed[0].ended == "refused" and recorder.passed[0].status == 422


def test_a_fault_of_the_guard_loses_no_request_and_says_so(caplog):
    ask = post("/v1/chat/completions", b"fault", JSON)
    (seen,), got, shown = through(answer(b"abc"), ask=ask, guard=UpperGuard())
    assert seen.body == b"fault" and got.body == b"abc" and got.one("x-k2lab-unread") == b"the guard failed"
    assert "k2lab_proxy_guard_faults_total 1.0" in shown
    _, got, shown = through(answer(b"fault"), guard=UpperGuard())
    assert got.body == b"fault" and got.one("x-k2lab-unread") == b"the guard failed"
    seen, got, _ = through(answer(b"abc"), ask=ask, guard=UpperGuard(), fails_closed=True)
    assert seen == [] and got.status == 500 and got.one("x-k2lab-error") == b"guard_fault"
    _, got, _ = through(STREAM, chunk(b"abcd"), chunk(b"fault"), LAST, guard=UpperGuard())
    assert not got.whole and got.body in (b"ABCD", b"")
    said = [record.getMessage() for record in caplog.records if record.name == "k2lab.traffic"]
    assert sum("bug of k2lab" in line for line in said) == 4 and "secret" not in "".join(said)


def test_an_answer_too_large_for_the_guard_passes_as_it_is():
    limits = Limits(answer_bytes=1000)
    _, got, _ = through(answer(b"a" * 5000), guard=UpperGuard(), limits=limits)
    assert got.body == b"a" * 5000 and got.one("x-k2lab-unread").startswith(b"more than 1000")


def test_others_go_on_while_the_guard_thinks():
    guard = UpperGuard()

    async def run() -> None:
        async with (
            scripted(lambda seen: [answer(b"{}")]) as upstream,
            proxy(upstream.url, guard=guard) as ours,
            client(ours.url) as slow,
            client(ours.url) as quick,
        ):
            slow.writer.write(post("/v1/chat/completions", b"slow" + b" " * 40_000, JSON))
            await becomes(lambda: guard.asked)
            assert (await quick.ask(get("/v1/models"))).body == b"{}"
            assert upstream.seen[0].first.startswith(b"GET") and len(upstream.seen) == 1
            assert (await slow.read()).body == b"{}!"

    uvloop.run(run())


def test_the_end_of_an_answer_waits_for_the_record():
    recorder = Notes(safe=False)

    async def run() -> None:
        limits = Limits(hold_s=20)
        async with scripted(lambda seen: [answer(b"abc")]) as upstream:
            async with proxy(upstream.url, recorder=recorder, limits=limits) as ours, client(ours.url) as one:
                one.writer.write(ASK)
                await becomes(lambda: recorder.waiting)
                with pytest.raises(TimeoutError):
                    await one.read(within_s=0.1)
                recorder.waiting.pop().set_result(None)
            async with proxy(upstream.url, recorder=recorder, limits=limits) as ours, client(ours.url) as one:
                upstream.script = lambda seen: [STREAM, chunk(b"data: [DONE]\n\n"), LAST]
                one.writer.write(ASK)
                await one.answers.reader.readuntil(
                    b"data: [DONE]\n\n\r\n"
                )  # no chunk waits, the end of the stream does
                await becomes(lambda: recorder.waiting)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(one.answers.reader.read(1), 0.1)
                recorder.waiting.pop().set_result(None)
                assert await one.answers.reader.readexactly(5) == LAST

    uvloop.run(run())


def test_an_answer_waits_no_longer_than_it_must_for_a_record_that_hangs_or_fails():
    _, got, shown = through(answer(b"abc"), recorder=Notes(safe=False), limits=Limits(hold_s=0.05))
    assert got.body == b"abc" and "k2lab_proxy_record_late_total 1.0" in shown
    _, got, shown = through(answer(b"abc"), recorder=Notes(fails=True))
    assert got.body == b"abc" and "k2lab_proxy_record_refused_total 1.0" in shown


def test_what_is_recorded_holds_no_key_and_has_its_bounds():
    recorder = Notes()
    keys = ("authorization: Bearer sk-secret", "x-api-key: sk-secret", "cookie: sk-secret")
    ask = post("/v1/chat/completions?api_key=sk-secret", b"x" * 3000, JSON, *keys)
    limits = Limits(recorded_bytes=1000)
    (seen,), got, shown = through(answer(b"y" * 2500, JSON), ask=ask, recorder=recorder, limits=limits)
    assert seen.one("authorization") == b"Bearer sk-secret" and len(seen.body) == 3000 and len(got.body) == 2500
    (passed,) = recorder.passed
    assert (len(passed.request), passed.request_cut, len(passed.answer), passed.answer_cut) == (1000, 2000, 1000, 1500)
    assert "secret" not in repr(passed) + shown and passed.path == "/v1/chat/completions"
    assert passed.sent is None and passed.given is None and passed.changes == ()
    assert passed.first_ms is not None and 0 < passed.first_ms <= passed.upstream_ms and passed.added_ms > 0


def test_every_ending_is_recorded_and_what_was_never_asked_is_not():
    recorder = Notes()

    async def run() -> None:
        limits = Limits(first_s=0.1, between_s=0.1)
        async with (
            scripted(lambda seen: ["close"]) as upstream,
            proxy(upstream.url, recorder=recorder, limits=limits) as ours,
        ):
            for steps in (["close"], ["stall"], [STREAM, chunk(b"a"), "close"], [STREAM, chunk(b"a"), "stall"]):
                upstream.script = lambda seen, steps=steps: steps
                async with client(ours.url) as one:
                    await one.ask(ASK)
            upstream.script = lambda seen: [STREAM, chunk(b"a"), 20.0]
            async with client(ours.url) as one:
                one.writer.write(ASK)
                await one.answers.reader.readuntil(b"a\r\n")
            await becomes(lambda: ours.proxy.open == 0)
            async with client(ours.url) as one:
                assert (await one.ask(get("/v1/../x"))).status == 400

    uvloop.run(run())
    assert [(passed.ended, passed.status, passed.answer) for passed in recorder.passed] == [
        ("upstream_broke", 502, b""),
        ("timed_out", 504, b""),
        ("upstream_broke", 200, b"a"),
        ("timed_out", 200, b"a"),
        ("client_left", 200, b"a"),
    ]
    keys = [passed.key for passed in recorder.passed]
    assert keys == sorted(keys) and len(set(keys)) == len(keys)
