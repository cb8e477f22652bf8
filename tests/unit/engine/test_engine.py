import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from k2lab import engine
from k2lab.engine import child, supervisor
from k2lab.engine import server as server_module
from k2lab.errors import EngineError
from tests.helpers.processes import gone, until

PYTHON = Path(sys.executable)


def child_of(log: str) -> int:
    return int(re.search(r"^child (\d+)$", Path(log).read_text(), re.MULTILINE)[1])


def start(model, **options):
    return engine.start(PYTHON, "fake", model, **options)


def test_a_server_is_started_listed_and_ended_with_its_children(cache, model):
    server = start(model, flags=["--extra"])
    child = child_of(server.log)
    assert engine.running() == [server] and engine.get(server.server_id) == server
    assert server.base_url.startswith("http://127.0.0.1:") and "--extra" in server.command
    assert engine.running()[0].flags == ("--extra",)
    assert engine.stop(server) is True
    assert gone(server.server_pid) and gone(child) and gone(server.supervisor_pid)
    assert engine.running() == [] and engine.stop(server) is False


def test_two_servers_side_by_side_do_not_disturb_each_other(cache, model):
    first, second = start(model), start(model)
    try:
        assert first.base_url != second.base_url and first.server_id != second.server_id
        engine.stop(first)
        assert second.alive() and engine.running() == [second]
    finally:
        engine.stop(second)


def test_a_server_that_dies_says_why_and_how_to_repeat_it(cache, model, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM", "dies")
    with pytest.raises(EngineError) as caught:
        start(model)
    text = str(caught.value)
    assert "ended before it was ready" in text and "ValueError: the model cannot be loaded" in text
    assert "to repeat: " in text and "vllm.entrypoints.openai.api_server --model" in text
    assert engine.running() == []


def test_a_server_that_hangs_is_ended_at_its_deadline(cache, model, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM", "hangs")
    with pytest.raises(EngineError, match="was not ready within 2 s"):
        start(model, ready_timeout_s=2)
    log = next((cache / "servers").glob("*.log"))
    assert gone(child_of(str(log)))


@pytest.mark.parametrize("how", ["elsewhere", "everywhere", "child elsewhere"])
def test_a_server_that_other_machines_reach_is_ended_and_named_on_one_line(cache, model, monkeypatch, how):
    monkeypatch.setenv("FAKE_VLLM", how)
    with pytest.raises(
        EngineError, match=r"^engine fake listens on (0\.0\.0\.0|::), port \d+, .* it was ended"
    ) as caught:
        start(model)
    assert "\n" not in str(caught.value) and engine.running() == []
    assert gone(child_of(str(next((cache / "servers").glob("*.log")))))
    assert list((cache / "servers").glob("*.json")) == []
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", int(re.search(r"port (\d+)", str(caught.value))[1])), 5)


def test_the_store_that_torch_opens_is_told_from_a_server(cache, model, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM", "store")
    engine.stop(start(model))


@pytest.mark.parametrize("flags", [["--api-key", "sk-secret"], ["--api-key=sk-secret"]])
def test_keys_are_not_taken_on_the_command_line(cache, model, flags):
    with pytest.raises(EngineError, match="set VLLM_API_KEY instead") as caught:
        start(model, flags=flags)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_server_ends_with_the_process_that_owns_it(cache, model, how):
    code = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        from k2lab.engine import serving
        with serving(Path(sys.executable), "fake", Path({str(model)!r})) as server:
            print(server.server_pid, server.log, flush=True)
            time.sleep(600)
        """
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        pid, log = owner.stdout.readline().split()
        child = child_of(log)
        owner.send_signal(how)
        owner.wait(30)
    finally:
        owner.kill()
    assert gone(int(pid)) and gone(child)


def test_a_server_that_is_left_running_outlives_its_starter(cache, model):
    code = f"""if True:
        import sys
        from pathlib import Path
        from k2lab.engine import keep, start
        server = start(Path(sys.executable), "fake", Path({str(model)!r}))
        keep(server)
        print(server.server_id)
        """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    server = engine.get(done.stdout.strip())
    assert server.alive()
    engine.stop(server)
    assert gone(server.server_pid)


def test_a_number_that_went_to_another_process_is_not_ended(cache, model):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        server = start(model)
        engine.stop(server)
        stale = replace(server, supervisor_pid=other.pid, supervisor_started=1.0)
        assert not stale.alive() and engine.stop(stale) is False
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_port_in_use_is_refused_before_anything_starts(cache, model):
    server = start(model)
    try:
        port = int(server.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
        with pytest.raises(EngineError, match=rf"port {port} on 127\.0\.0\.1 cannot be used"):
            start(model, port=port)
    finally:
        engine.stop(server)
    with pytest.raises(EngineError, match="not between 1 and 65535"):
        start(model, port=99999)


def test_model_folders_that_are_none_are_refused(cache, tmp_path):
    with pytest.raises(EngineError, match="nowhere is not there"):
        start(tmp_path / "nowhere")
    with pytest.raises(EngineError, match=r"it has no config\.json"):
        start(tmp_path)


def test_engines_by_name(cache):
    assert engine.resolve("http://127.0.0.1:1/v1").base_url
    with pytest.raises(EngineError, match=r"no lock for engine '9\.9\.9': the locked versions are 0\.1.*, 0\.32\.0"):
        engine.resolve("9.9.9")
    with pytest.raises(EngineError, match=r"not installed: k2lab engine install 0\.32\.0"):
        engine.resolve("0.32.0")
    with pytest.raises(EngineError, match="no interpreter at /nowhere/python"):
        engine.resolve("/nowhere/python")
    with pytest.raises(EngineError, match="k2lab's own environment has no vllm"):
        engine.resolve("this")
    assert engine.resolve(str(PYTHON)).python == PYTHON  # PYTHONPATH offers it a vllm


def test_records_and_logs_are_their_owners_alone_under_any_umask_and_old_ones_are_closed(cache, model):
    folder = cache / "servers"
    folder.mkdir(parents=True, mode=0o755, exist_ok=True)
    for number in range(server_module.LOGS_KEPT + 3):
        old = folder / f"old-{number}.log"
        old.write_text("prompts")
        old.chmod(0o644)
        os.utime(old, (0, 0) if number == 0 else (time.time() - 3600 - number,) * 2)
    before = os.umask(0)
    try:
        server = start(model)
    finally:
        os.umask(before)
    try:
        rights = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
        assert folder.stat().st_mode & 0o777 == 0o700 and set(rights.values()) == {0o600}
        assert {Path(server.log).name, server.record.name} <= set(rights)
        assert "old-0.log" not in rights and len(list(folder.glob("old-*"))) == server_module.LOGS_KEPT
    finally:
        engine.stop(server)


def test_what_is_no_record_of_a_server_names_none_and_is_left_alone(cache, tmp_path):
    folder = cache / "servers"
    folder.mkdir(parents=True)
    good = {
        **dict.fromkeys(("engine", "model", "base_url", "log", "command"), "x"),
        "server_id": "a-1",
        "supervisor_pid": os.getpid(),
        "supervisor_started": psutil.Process().create_time(),
        "server_pid": 1,
        "flags": [],
    }
    (folder / "a-1.json").write_text(json.dumps(good))
    assert [server.server_id for server in engine.running()] == ["a-1"]
    bad = [
        good | {"server_id": "../a-1"},
        good | {"supervisor_pid": "1"},
        good | {"flags": [1]},
        good | {"x": 1},
        [],
        7,
    ]
    for number, value in enumerate(bad):
        (folder / f"bad-{number}.json").write_text(json.dumps(value))
    os.mkfifo(folder / "pipe.json")
    (folder / "deep.json").write_text("[" * 100_000)
    assert [server.server_id for server in engine.running()] == ["a-1"] and len(list(folder.iterdir())) == 9


def test_a_command_that_takes_too_long_has_failed():
    with pytest.raises(EngineError, match="it failed") as caught:
        list(child.lines_of([sys.executable, "-c", "import time; time.sleep(60)"], "it failed", within_s=0.2))
    assert caught.type is EngineError and not child._running


def test_a_group_whose_last_process_is_a_zombie_has_ended():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as process:
        assert supervisor.group_alive(process.pid)
        process.kill()
        assert until(lambda: not supervisor.group_alive(process.pid))
        os.killpg(process.pid, 0)  # its number is still taken: nobody has asked about it


@pytest.mark.parametrize("when", ["before it has begun", "in its midst"])
def test_a_command_that_is_ended_from_here_has_not_failed_whatever_its_status(when):
    code = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(1)); print('up', flush=True); time.sleep(60)"
    )
    lines, raised = [], []

    def follow():
        with pytest.raises(EngineError) as caught:
            for line in child.lines_of([sys.executable, "-c", code], "it failed"):
                lines.append(line)
        raised.append(caught.type)

    reader = threading.Thread(target=follow)
    reader.start()
    assert until(lambda: lines if when == "in its midst" else child._running)
    child.end_all()
    reader.join(15)
    assert raised == [child.Ended] and not child._running
