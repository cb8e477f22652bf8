"""The recorder: what it acknowledged is there, however it ends; what it cannot write it counts, and nobody waits."""

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import fields

import psutil
import pytest
import uvloop

from k2lab.errors import InputError
from k2lab.traffic import recorder, recordfile
from k2lab.traffic.backlog import Backlog
from k2lab.traffic.caught import Caught
from k2lab.traffic.exchanges import Passed
from k2lab.traffic.recording import RecordOptions
from k2lab.traffic.redaction import Redaction
from k2lab.traffic.retention import Retention
from k2lab.traffic.secrets import rules_of
from k2lab.traffic.writer import Writer
from tests.conftest import ROOT
from tests.helpers.effort import THOROUGH
from tests.helpers.processes import gone, until

ASKED = json.dumps({"model": "kimi-k2", "messages": [{"role": "user", "content": "Hi"}]}).encode()
GOOD = b'{"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}]}'
EMPTY = b'{"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": ""}}]}'


def passed(key="k", answer=GOOD, **fields):
    given = {"started_at": 1.0, "method": "POST", "path": "/v1/chat/completions", "status": 200, "ended": "whole"}
    return Passed(**{**given, "key": key, "request": ASKED, "answer": answer, **fields})


def caught_of(one):
    return Caught(most=64 << 20, **{field.name: getattr(one, field.name) for field in fields(one)})


def caught(key="k", answer=GOOD, **values):
    return caught_of(passed(key, answer, **values))


def options(tmp_path, **fields):
    return RecordOptions(**{"path": tmp_path / "traffic.db", "look": False, **fields})


def taken(given, exchanges):
    """What became of exchanges, the recorder closed behind them."""

    async def take():
        return await asyncio.gather(*(made.take(caught_of(one)) for one in exchanges))

    made = recorder.recorder_of(given)
    try:
        return asyncio.run(take()), made
    finally:
        made.close()


def entries(given, **chosen):
    with recordfile.reading(given.path) as file:
        return list(file.exchanges(**chosen))


def test_what_is_awaited_is_there_as_it_passed(tmp_path):
    many = [passed(f"{n:05}", request=os.urandom(n), given=b"x" * n if n % 3 else None) for n in range(1000)]
    outcomes, made = taken(options(tmp_path), many)
    assert set(outcomes) == {"written"} and [one.passed for one in entries(options(tmp_path))] == many
    assert made.counters() == {"written": 1000, "failed": 0, "dropped": 0, "left_out": 0, "unlooked": 0,
                               "bytes": made.bytes} and made.bytes > 400_000  # fmt: skip
    assert not list(tmp_path.glob("*-wal")) or not (tmp_path / "traffic.db-wal").stat().st_size
    assert (tmp_path / "traffic.db").stat().st_mode & 0o777 == 0o600


def test_bodies_of_any_kind_are_kept(tmp_path):
    bodies = [b"\0" * 100, b'"\\ud800"', b"\xff\xfe", b"{" * 100_000, b"", b"[" + b"1," * 9999]
    given = options(tmp_path, redaction=Redaction(rules=rules_of(("keys", "mails"))), look=True)
    many = [passed(f"{n}\ud800", body, request=body, path="/v1/chat/completions") for n, body in enumerate(bodies)]
    assert taken(given, many)[0] == ["written"] * len(bodies)
    kept = [(entry.passed.request, entry.passed.answer, entry.looked) for entry in entries(given)]
    assert kept == [(body, body, "cannot") for body in bodies]


@pytest.mark.long
def test_a_body_of_64_mib_is_kept_without_its_key(tmp_path):
    request = b'{"a": "' + bytes(32) * (2 << 20) + b' sk-0123456789abcdefghij"}'
    given = options(tmp_path, redaction=Redaction(rules=rules_of()))
    assert taken(given, [passed("big", request=request)])[0] == ["written"]
    (entry,) = entries(given)
    assert entry.passed.request == request.replace(b"sk-0123456789abcdefghij", b"[key]")


KILLED = """
import asyncio, os, sys
from pathlib import Path
from k2lab.traffic.recorder import recorder_of
from k2lab.traffic.recording import RecordOptions
from tests.unit.traffic.test_recorder import caught, caught_of, passed

async def main():
    made = recorder_of(RecordOptions(path=Path(sys.argv[1]), look=False))
    async def client(name):
        for n in range(100_000):
            one = passed(f"{sys.argv[2]}-{name}-{n:06}", request=os.urandom(700))
            if await made.take(caught_of(one)) == "written":
                os.write(1, (one.key + "\\n").encode())
    await asyncio.gather(*map(client, range(8)))

asyncio.run(main())
"""


def test_killed_in_mid_traffic_it_holds_all_that_was_acknowledged(tmp_path):
    acknowledged, path, moments = set(), tmp_path / "traffic.db", random.Random(14)
    for round_ in range(20 if THOROUGH else 5):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, path, str(round_)],
            stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        lines = [child.stdout.readline() for _ in range(moments.choice((1, 30, 200)))]
        time.sleep(moments.uniform(0, 0.02))
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
        child.wait()
        acknowledged |= {line.strip().decode() for line in lines if line.endswith(b"\n")}
        with recordfile.reading(path) as file:
            keys = [entry.passed.key for entry in file.exchanges()]
        assert len(keys) == len(set(keys)) and acknowledged <= set(keys)
    assert len(acknowledged) > 100


SMALL_DISK = """
import asyncio, logging, os, subprocess, sys
from pathlib import Path
from k2lab.traffic.recorder import recorder_of
from k2lab.traffic.recording import RecordOptions
from k2lab.traffic import recordfile
from tests.unit.traffic.test_recorder import caught, caught_of, passed
logging.basicConfig(format="LOG %(message)s", stream=sys.stdout)
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True)

async def main():
    made = recorder_of(RecordOptions(path=folder / "traffic.db", look=False, patience_s=0.5))
    good = []
    async def some(name, count):
        many = [passed(f"{name}-{n}", request=os.urandom(2000)) for n in range(count)]
        outcomes = await asyncio.gather(*map(made.take, map(caught_of, many)))
        good.extend(f"{name}-{n}" for n, outcome in enumerate(outcomes) if outcome == "written")
        print(name, *sorted({*outcomes}), flush=True)
    await some("roomy", 100)
    (folder / "rest").write_bytes(b"")
    try:
        with open(folder / "rest", "wb", buffering=0) as rest:
            while rest.write(bytes(4096)): pass
    except OSError: pass
    await some("full", 400)
    (folder / "rest").unlink()
    await some("again", 100)
    made.close()
    print("counted", made.failed > 0, made.written == len(good))
    with recordfile.reading(folder / "traffic.db") as file:
        there = {entry.passed.key for entry in file.exchanges()}
        print("there", {*good} == there, file.tallies()["lost"] == made.failed)

asyncio.run(main())
"""


def test_on_a_full_disk_it_counts_goes_on_and_writes_again_once_there_is_room(tmp_path):
    alone = ("unshare", "--user", "--map-root-user", "--mount")
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no mounts of one's own here")
    done = subprocess.run([*alone, sys.executable, "-c", SMALL_DISK, tmp_path], capture_output=True, text=True,
                          cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith("LOG")] == [
        "roomy written", "full failed", "again written", "counted True True", "there True True",
    ]  # fmt: skip
    logged = [line for line in lines if line.startswith("LOG")]
    assert len(logged) == 1 and "its disk is full" in logged[0]


def test_a_file_that_is_taken_away_is_begun_anew(tmp_path, caplog):
    given = options(tmp_path)

    async def take():
        first = await made.take(caught("1"))
        for beside in tmp_path.glob("traffic.db*"):
            if beside.suffix != ".lock":
                beside.unlink()
        return first, await made.take(caught("2"))

    made = recorder.recorder_of(given)
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(take()) == ("written", "written")
    made.close()
    assert [one.passed.key for one in entries(given)] == ["2"] and "taken away or replaced" in caplog.text


def test_a_stalled_disk_holds_nobody_up_and_what_has_no_room_is_counted(tmp_path, caplog):
    given = options(tmp_path, most_waiting=10, drain_s=0.2, patience_s=0.1)
    made = recorder.recorder_of(given)
    holder = sqlite3.connect(given.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    async def take():
        first = [made.take(caught(str(n))) for n in range(300)]
        await asyncio.sleep(0)
        return [one.result() for one in first if one.done()]

    with caplog.at_level(logging.WARNING):
        assert set(asyncio.run(take())) == {"dropped"} and made.dropped == 300 - 10
    assert caplog.text.count("the record is behind") == 1
    made.close()
    holder.execute("ROLLBACK")
    holder.close()
    assert until(lambda: made.failed + made.written + made.dropped == 300)


def test_a_second_recorder_and_a_file_of_another_kind_are_refused(tmp_path):
    made = recorder.recorder_of(options(tmp_path))
    with pytest.raises(InputError, match="is being written by another recorder"):
        recorder.recorder_of(options(tmp_path))
    made.close()
    (tmp_path / "text").write_text("text" * 100)
    with pytest.raises(InputError, match="is not a record of traffic"):
        recorder.recorder_of(options(tmp_path, path=tmp_path / "text"))
    with pytest.raises(InputError, match="the sample must be a share between 0 and 1, found 2"):
        recorder.recorder_of(options(tmp_path, sample=2))
    recorder.recorder_of(options(tmp_path)).close()


def test_nothing_that_is_kept_out_stands_in_any_byte_of_the_file_or_its_log(tmp_path):
    keys = [f"sk-{random.Random(n).getrandbits(128):032x}" for n in range(50)]
    given = options(tmp_path, redaction=Redaction(rules=rules_of()), look=True)
    call = {"function": {"name": "f", "arguments": json.dumps({"key": "XX"})}, "id": "x", "type": "function"}
    answer = json.dumps({"choices": [{"finish_reason": "tool_calls", "message": {"tool_calls": [call]}}]})
    many = [passed(key[3:9], answer.replace("XX", key).encode(), request=json.dumps(key).encode()) for key in keys]

    async def take():
        await asyncio.gather(*map(made.take, map(caught_of, many)))
        return b"".join(path.read_bytes() for path in tmp_path.glob("traffic.db*"))

    made = recorder.recorder_of(given)
    data = asyncio.run(take())
    made.close()
    data += (tmp_path / "traffic.db").read_bytes()
    assert len(data) > 10_000 and not any(key[3:19].encode() in data for key in keys)
    with recordfile.reading(given.path) as file:
        assert file.tallies()["redacted:key"] == 100 and sum(made.redacted.values()) == 100
        for entry in file.exchanges():
            everything = [*(one.evidence + one.place for one in entry.findings), str(entry.passed)]
            assert not any(key[3:19] in text for key in keys for text in everything)


def test_a_sample_is_the_same_each_time_and_has_everything_that_has_a_finding(tmp_path):
    many = [passed(f"{n:04}", EMPTY if n % 10 == 0 else GOOD) for n in range(300)]
    kept = []
    for name in ("one", "two"):
        given = options(tmp_path, path=tmp_path / f"{name}.db", sample=0.1, look=True)
        outcomes, made = taken(given, many)
        found = entries(given)
        kept.append([(one.passed.key, one.kept_for, one.looked) for one in found])
        assert {one.passed.key for one in found if one.findings} == {f"{n:04}" for n in range(0, 300, 10)}
        assert made.written + made.left_out == 300 == len(outcomes) and made.findings.total() == 30
        with recordfile.reading(given.path) as file:
            assert file.tallies() == {"left_out:clean": made.left_out}
    assert sorted(kept[0]) == sorted(kept[1]) and {how for _, how, _ in kept[0]} == {"sample", "finding"}
    assert 10 < sum(how == "sample" for _, how, _ in kept[0]) < 60


def test_what_there_was_no_time_to_look_at_is_kept_and_never_called_clean(tmp_path, monkeypatch):
    monkeypatch.setattr("k2lab.traffic.looker.COMMAND", "raise SystemExit")
    given = options(tmp_path, sample=0, look=True)
    made = Writer(given)
    assert made.write([caught(f"{n}") for n in range(5)]) == ("left_out",) * 5
    made.close(5)
    assert [(one.kept_for, one.looked) for one in entries(given)] == [("unlooked", "late")] * 5
    assert made.counts["unlooked"] == made.counts["written"] == made.counts["decided"] == 5


def test_the_processes_beside_end_with_their_parent_however_that_ends(tmp_path):
    code = (
        "import asyncio, psutil, sys, time; from pathlib import Path\n"
        "from k2lab.traffic.recorder import recorder_of; from k2lab.traffic.recording import RecordOptions\n"
        "from tests.unit.traffic.test_recorder import caught\n"
        "made = recorder_of(RecordOptions(path=Path(sys.argv[1])))\n"
        "async def take(): await made.take(caught())\n"
        "asyncio.run(take())\n"
        "while not (beside := psutil.Process(made.pid).children()): time.sleep(0.01)\n"
        "print(made.pid, beside[0].pid, flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, tmp_path / "t.db"], stdout=subprocess.PIPE, cwd=ROOT,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    writer, looker = map(int, parent.stdout.readline().split())
    assert os.getpgid(looker) == looker != os.getpgid(0) and os.getsid(looker) == os.getsid(0)
    parent.kill()
    parent.wait()
    assert gone(writer) and gone(looker)


def test_a_process_that_is_killed_while_it_looks_is_started_again(tmp_path):
    given = options(tmp_path, look=True)

    async def take():
        await made.take(caught("1", EMPTY))
        while not made.findings:
            await asyncio.sleep(0.01)
        psutil.Process(made.pid).children()[0].kill()
        await made.take(caught("2", EMPTY))
        await made.take(caught("3", EMPTY))
        while sum(made.findings.values()) + made.unlooked < 3:
            await asyncio.sleep(0.01)

    made = recorder.recorder_of(given)
    asyncio.run(asyncio.wait_for(take(), 60))
    made.close()
    looked = [(entry.looked, bool(entry.findings)) for entry in entries(given)]
    assert looked[0] == ("yes", True) and set(looked) <= {("yes", True), ("late", False)}


def test_a_writer_that_is_killed_is_followed_by_one_that_loses_nothing_and_writes_nothing_twice(tmp_path, caplog):
    given = options(tmp_path)

    async def take():
        asked = []
        for n in range(30):
            asked += [made.take(caught(f"{n}-{m}", request=os.urandom(20_000))) for m in range(20)]
            await asyncio.sleep(0.001)
            if n == 20:
                os.kill(made.pid, signal.SIGKILL)
        return await asyncio.gather(*asked)

    made = recorder.recorder_of(given)
    first = made.pid
    with caplog.at_level(logging.WARNING):
        assert set(asyncio.run(asyncio.wait_for(take(), 60))) == {"written"} and made.pid != first
    made.close()
    keys = [one.passed.key for one in entries(given)]
    assert len(keys) == len(set(keys)) == made.written == 600 and made.failed == made.dropped == 0
    assert caplog.text.count("the process that writes the record ended (status -9) and is started again") == 1


def test_what_two_writers_end_at_is_given_up_and_counted(tmp_path, caplog):
    made = recorder.recorder_of(options(tmp_path))

    async def take():
        os.kill(made.pid, signal.SIGSTOP)
        futures = [made.take(caught(str(n))) for n in range(3)]
        for _ in range(2):
            pid = made.pid
            os.kill(pid, signal.SIGKILL)
            while made.pid in (pid, None) and not futures[0].done():
                await asyncio.sleep(0)
            if made.pid is not None:
                os.kill(made.pid, signal.SIGSTOP)
        outcomes = await asyncio.gather(*futures)
        return outcomes, await made.take(caught("after"))

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(asyncio.wait_for(take(), 60)) == (["failed"] * 3, "written")
    made.close()
    with recordfile.reading(made.options.path) as file:
        assert file.tallies()["lost"] == made.failed == 3 and made.written == 1


def test_a_recorder_goes_on_in_another_event_loop(tmp_path):
    made = recorder.recorder_of(options(tmp_path))

    async def take(name):
        return await made.take(caught(name))

    assert [asyncio.run(take("1")), uvloop.run(take("2"))] == ["written"] * 2
    made.close()
    assert [one.passed.key for one in entries(made.options)] == ["1", "2"]


def test_the_log_is_put_into_the_file_while_commits_go_on_and_stays_within_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr("k2lab.traffic.checkpoints.GROWN_PAGES", 50)
    monkeypatch.setattr("k2lab.traffic.checkpoints.MOST_PAGES", 200)
    given = options(tmp_path)
    made, sizes = Writer(given), []
    for n in range(300):
        assert made.write([caught(f"{n}-{m}", request=os.urandom(8000)) for m in range(4)]) == ("written",) * 4
        sizes.append(os.path.getsize(f"{given.path}-wal"))
    assert max(sizes) < 4 << 20 < 8 << 20 < os.path.getsize(given.path)
    made.close(1)
    assert len(entries(given)) == 1200


def test_retention_by_size_is_never_passed_by_more_than_a_batch(tmp_path):
    most = 2 << 20
    given = options(tmp_path, retention=Retention(most_bytes=most))

    async def take():
        sizes = []
        for n in range(60):
            await asyncio.gather(*(made.take(caught(f"{n:03}-{m:02}", request=os.urandom(4000))) for m in range(20)))
            sizes.append(sum(path.stat().st_size for path in tmp_path.glob("traffic.db")))
        return sizes

    made = recorder.recorder_of(given)
    sizes = asyncio.run(take())
    made.close()
    found = [one.passed.key for one in entries(given)]
    assert max(sizes) < most + 256 * 5000 and os.path.getsize(given.path) < most + 256 * 5000
    assert 200 < len(found) < 700 and found == sorted(found) and found[-1].startswith("059")


def test_retention_by_age_takes_what_is_too_old_and_the_findings_with_it(tmp_path):
    now = time.time()
    given = options(tmp_path, look=True, retention=Retention(most_age_s=3600))
    taken(given, [passed("old", EMPTY, started_at=now - 4000), passed("new", EMPTY, started_at=now)])
    recorder.recorder_of(given).close()
    with contextlib.closing(sqlite3.connect(given.path)) as file:
        assert file.execute("SELECT count(*) FROM findings").fetchone() == (1,)
    assert [one.passed.key for one in entries(given)] == ["new"]


def test_what_waits_is_gathered_for_a_while_and_given_at_once_when_all_is_over():
    backlog = Backlog[int](most=9, most_bytes=99)
    backlog.put(1, 1)
    later = threading.Timer(0.05, backlog.put, (2, 1))
    later.start()
    assert backlog.take(9, 99, wait_s=0, gather_s=0.5) == [1, 2]
    backlog.put(3, 1)
    threading.Timer(0.05, backlog.close).start()
    began = time.monotonic()
    assert backlog.take(9, 99, wait_s=0, gather_s=60) == [3] and time.monotonic() - began < 30
