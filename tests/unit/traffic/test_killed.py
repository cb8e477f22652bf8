"""``k2lab proxy`` ended in mid traffic: what was answered is in the record; each client has an answer or a break."""

import asyncio
import json
import random
import signal

import pytest
import uvloop

from k2lab.traffic import recordfile
from tests.helpers.effort import THOROUGH
from tests.helpers.proxying import proxy_process
from tests.helpers.scripted import LAST, STREAM, answer, chunk, client, post, scripted

JSON = "content-type: application/json"
CLIENTS = 8


def steps(seen) -> list:
    """Each request is answered with its own number, whole or streamed."""
    number = json.loads(seen.body)["n"]
    text = json.dumps({"n": number}).encode()
    if number % 2:
        return [STREAM, chunk(b"data: " + text + b"\n\n"), 0.002, chunk(b"data: [DONE]\n\n"), LAST]
    return [0.002, answer(text, JSON)]


async def ask_on(url: str, numbers, answered: set[int], broken: list[int]) -> None:
    """Ask one request after the other until the proxy is gone."""
    try:
        async with client(url) as one:
            for number in numbers:
                got = await one.ask(post("/v1/chat/completions", json.dumps({"n": number}).encode(), JSON))
                if got is None or not got.whole:
                    broken.append(number)
                    return
                assert got.status == 200 and json.dumps({"n": number}).encode() in got.body
                answered.add(number)
                if got.one("connection") == b"close":
                    return
    except ConnectionError:
        return


async def ended(record, number: signal.Signals, after_s: float) -> tuple[int, set[int], list[int]]:
    """The exit status of a proxy that is sent a signal while clients ask, the requests it answered, those it broke."""
    answered: set[int] = set()
    broken: list[int] = []
    async with scripted(steps) as upstream:
        with proxy_process(upstream.url, "--record", record) as ours:
            numbers = iter(range(1_000_000))
            asking = [asyncio.ensure_future(ask_on(ours.url, numbers, answered, broken)) for _ in range(CLIENTS)]
            while not answered:
                await asyncio.sleep(0.01)
            await asyncio.sleep(after_s)
            ours.send(number)
            async with asyncio.timeout(30):
                await asyncio.gather(*asking)
            return await asyncio.to_thread(ours.ended), answered, broken


def recorded(record) -> list[tuple[int, str]]:
    with recordfile.reading(record) as file:
        return [(json.loads(entry.passed.request)["n"], entry.passed.ended) for entry in file.exchanges()]


def check(record, number: signal.Signals, seed: int) -> None:
    status, answered, broken = uvloop.run(ended(record, number, random.Random(seed).random() * 0.3))
    held = recorded(record)
    whole = {one for one, how in held if how == "whole"}
    assert answered <= whole, f"answered and not recorded: {sorted(answered - whole)}"
    assert len(held) == len({one for one, _ in held}) <= len(answered) + CLIENTS
    if number == signal.SIGTERM:
        assert status == 0 and broken == [] and len(held) == len(answered)
    else:
        assert status == -signal.SIGKILL and len(broken) <= CLIENTS


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_answered_is_recorded_when_the_proxy_is_ended(tmp_path, number):
    check(tmp_path / "record.db", number, 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20 if THOROUGH else 4))
def test_what_was_answered_is_recorded_however_often_the_proxy_is_killed(tmp_path, seed):
    check(tmp_path / "record.db", signal.SIGKILL, seed)


@pytest.mark.long
def test_a_disk_that_is_full_loses_no_request(tmp_path):
    """The record may take a few pages: what cannot be written is counted, and every request is answered."""

    async def run() -> tuple[int, str, str]:
        async with scripted(steps) as upstream:
            with proxy_process(upstream.url, "--record", tmp_path / "record.db", file_bytes=200_000) as ours:
                async with client(ours.url) as one:
                    for number in range(40):
                        body = json.dumps({"n": number, "x": "x" * 20_000}).encode()
                        got = await one.ask(post("/v1/chat/completions", body, JSON))
                        assert got.whole and got.status == 200
                    shown = (await one.ask(b"GET /k2lab/metrics HTTP/1.1\r\nhost: x\r\n\r\n")).body.decode()
                ours.send(signal.SIGTERM)
                return await asyncio.to_thread(ours.ended, 60), shown, "".join(ours.told)

    status, shown, told = uvloop.run(run())
    counts = {
        line.split()[0]: float(line.split()[1]) for line in shown.splitlines() if "_record_" in line and line[0] != "#"
    }
    assert status == 0 and counts["k2lab_proxy_record_late_total"] + counts["k2lab_proxy_record_failed_total"] > 0
    assert any("record" in line and line.startswith("k2lab: ") for line in told.splitlines()[1:]), told
    assert 'k2lab_proxy_requests_total{ended="whole",path="chat",status="200"} 40.0' in shown
