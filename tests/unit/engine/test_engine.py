import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from k2lab import engine
from k2lab.engine import child, environments, installers, locks, supervisor
from k2lab.engine import server as server_module
from k2lab.errors import EngineError
from tests.conftest import ROOT
from tests.helpers.processes import gone, until

PYTHON = Path(sys.executable)
SMALL = next(pin for pin in locks.read("0.32.0").pins if pin.name == "idna")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of its own, and a vllm module that can be run by this interpreter."""
    package = tmp_path / "path" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    shutil.copyfile(ROOT / "tests" / "helpers" / "fake_vllm.py", package / "api_server.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def bare_environment(tmp_path_factory):
    """An environment with pip as an install makes it first, made once."""
    folder = tmp_path_factory.mktemp("engine") / "bare"
    environments._run([environments._interpreter(), "-m", "venv", str(folder)], "no environment")
    return folder


@pytest.fixture
def copied_environments(bare_environment, monkeypatch):
    """A new environment is a copy of the one that was made once."""

    def copy(command, what):
        assert command[1:3] == ["-m", "venv"]
        shutil.copytree(bare_environment, command[3], symlinks=True)

    monkeypatch.setattr(environments, "_run", copy)


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


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


@pytest.mark.parametrize("version", locks.versions())
def test_locks_are_whole_and_leave_out_what_breaks_torch(version):
    lock = locks.read(version)
    names = [pin.name for pin in lock.pins]
    assert len(names) == len(set(names)) > 100 and lock.disk_gb > 0
    assert re.fullmatch(rf"{re.escape(version)}(\.post\d+)?", lock.distribution.version)
    assert not {"torchvision", "torchaudio", "torchcodec"} & set(names)
    if lock.cpu_torch.version.endswith("+cpu"):  # not every one's hash is known
        assert not [pin for pin in lock.pins_for(lock.cpu_torch) if pin.name.startswith(("nvidia", "cuda"))]


@pytest.mark.parametrize("version", locks.versions())
def test_every_pin_has_the_hashes_of_its_files(version):
    lock = locks.read(version)
    pins = [*lock.pins, lock.cpu_torch]
    assert all(pin.hashes and all(re.fullmatch("[0-9a-f]{64}", digest) for digest in pin.hashes) for pin in pins)
    assert lock.pins_for(lock.cpu_torch)[0] == lock.cpu_torch
    assert lock.cpu_torch.version.removesuffix("+cpu") == lock.torch.version.removesuffix("+cpu")


def test_a_lock_is_read_with_or_without_hashes_and_these_make_nothing_outdated():
    bare = locks.parsed("1", "# disk-gb: 2\n# serve: --a --b\n# head-dim: 64\ntorch==1.0\nsix==1.17.0\n")
    hashes = {"torch==1.0": ("ab", "cd"), "six==1.17.0": ("ef",)}
    lines = [" \\\n".join([pin, *(f"    --hash=sha256:{h}" for h in found)]) for pin, found in hashes.items()]
    text = "\n".join(["# disk-gb: 3", *lines])
    full = locks.parsed("1", text)
    assert [pin.hashes for pin in full.pins] == [("ab", "cd"), ("ef",)]
    assert (bare.disk_gb, bare.flags, bare.cpu_torch) == (2, ("--a", "--b"), bare.torch)
    assert (bare.head_dim, full.head_dim) == (64, None)
    assert full.pins[0].requirement == "torch==1.0 --hash=sha256:ab --hash=sha256:cd" and bare.sha256 == full.sha256


@pytest.mark.parametrize(("text", "said"), [("torch==1.0", "how much disk it wants"), ("# disk-gb: 2", "has no torch")])
def test_a_lock_that_does_not_say_enough_is_refused(text, said):
    with pytest.raises(EngineError, match=said):
        locks.parsed("1", text)


@pytest.mark.slow
@pytest.mark.xdist_group("engine install")
class TestInstall:
    """The installer itself, with real pip and a lock of one small package."""

    @pytest.fixture(autouse=True)
    def small_lock(self, cache, copied_environments, monkeypatch):
        if sys.version_info[:2] != environments.PYTHON:
            pytest.skip("engines are for Python 3.11")
        torch = locks.Pin(name="torch", version="0.0.1")
        lock = locks.Lock(version="0.0.1", pins=(torch, SMALL), disk_gb=1, cpu_torch=torch)
        monkeypatch.setattr(locks, "read", lambda version: lock)
        monkeypatch.setattr(locks, "DISTRIBUTION", "idna")
        monkeypatch.setattr(environments, "_check_registry", lambda pip, lock: None)
        monkeypatch.setattr(environments, "_choose_torch", lambda pip, lock: (torch, []))
        self.install_only(monkeypatch, SMALL)

    def install_only(self, monkeypatch, pin):
        """There is no torch 0.0.1: keep the real pip run to a package that is there."""
        real = self.real_pip_install = getattr(self, "real_pip_install", environments._pip_install)
        monkeypatch.setattr(
            environments, "_pip_install", lambda pip, extra, pins, *rest: real(pip, extra, [pin], *rest)
        )

    def make(self):
        return environments.install("0.0.1")

    @pytest.mark.parametrize("by", ["uv", "pip"])
    def test_it_installs_says_so_and_does_nothing_the_second_time(self, caplog, k2lab, monkeypatch, by):
        if by == "pip":
            monkeypatch.setattr(installers, "uv", lambda: None)
        done = k2lab("engine", "install", "0.0.1")
        made = environments.find("0.0.1")
        assert done.returncode == 0 and made.ready and made.python.exists()
        said = {"uv": "vLLM 0.0.1: installed 1 package", "pip": f"vLLM 0.0.1: 1/1 idna=={SMALL.version}\n"}[by]
        assert said in done.stderr and " GB free" in done.stderr
        assert not logging.getLogger("k2lab").handlers
        probe = "import importlib.metadata as m; print(m.version('vllm'), m.version('idna'))"
        done = subprocess.run([str(made.python), "-c", probe], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["0.0.1+cpu", SMALL.version]
        caplog.set_level("INFO", "k2lab")
        caplog.clear()  # another test may have left the level so that the first time is here
        assert environments.install("0.0.1") == made and caplog.messages == []

    def test_a_file_with_another_hash_is_not_installed(self, monkeypatch):
        self.install_only(monkeypatch, replace(SMALL, hashes=("0" * 64,)))
        with pytest.raises(EngineError, match="pip failed"):
            self.make()
        assert not environments.find("0.0.1").ready

    def test_a_half_made_environment_is_made_anew(self, cache, caplog):
        caplog.set_level("INFO", "k2lab")
        rest = cache / "engines" / "0.0.1"
        (rest / "bin").mkdir(parents=True)
        (rest / "bin" / "python").write_text("not an interpreter")
        assert not environments.find("0.0.1").ready
        assert self.make().ready
        assert any("half-made" in line for line in caplog.messages)

    def test_too_small_a_disk_is_refused_before_anything_is_made(self, cache, monkeypatch):
        monkeypatch.setattr(environments.shutil, "disk_usage", lambda _: SimpleNamespace(free=5e8))
        with pytest.raises(EngineError, match=r"wants 1 GB in .*, 0\.5 GB are free: make room, or set K2LAB_CACHE"):
            self.make()
        assert not (cache / "engines" / "0.0.1").exists()

    def test_several_are_made_side_by_side_and_each_line_says_whose_it_is(self, monkeypatch, caplog):
        caplog.set_level("INFO", "k2lab")
        real = locks.read("")
        monkeypatch.setattr(locks, "read", lambda version: replace(real, version=version))
        first, second = environments.install_all(["0.0.1", "0.0.2"])
        assert first.ready and second.ready and first.folder != second.folder
        assert all(said.startswith(("vLLM 0.0.1:", "vLLM 0.0.2:")) for said in caplog.messages)

    def test_interrupts_end_every_install_that_runs(self, monkeypatch, caplog):
        slow = [sys.executable, "-c", "import time; print('Downloaded x', flush=True); time.sleep(60)"]
        monkeypatch.setattr(installers, "uv_command", lambda *_: slow)

        class Interrupt(logging.Handler):
            def emit(self, record):
                if "large file" in record.getMessage():
                    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        caplog.set_level("INFO", "k2lab")
        monkeypatch.setattr(logging.getLogger("k2lab"), "handlers", [Interrupt()])
        with pytest.raises(KeyboardInterrupt):
            environments.install_all(["0.0.1", "0.0.2"])
        assert not any("pip" in said for said in caplog.messages) and not environments.find("0.0.1").ready
        assert until(lambda: slow not in [one.info["cmdline"] for one in psutil.process_iter(["cmdline"])], 15)

    def test_pip_that_fails_leaves_no_engine(self, monkeypatch):
        self.install_only(monkeypatch, locks.Pin(name="no-such-package-of-ours", version="1.0", hashes=SMALL.hashes))
        with pytest.raises(EngineError, match="pip failed; its last lines:\n"):
            self.make()
        assert not environments.find("0.0.1").ready


@pytest.mark.slow
@pytest.mark.xdist_group("engine install")
def test_no_registry_is_one_clear_line(cache, copied_environments, k2lab):
    dark = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "K2LAB_CACHE": str(cache)}
    done = k2lab("engine", "install", "0.32.0", env=dark)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "no package registry is reached" in done.stderr.strip().splitlines()[-1]
    assert not environments.find("0.32.0").ready


def test_uv_installs_from_where_pip_would(tmp_path):
    listing = "\n".join(
        [
            ":env:.find-links='/wheels'",
            "global.cert='/certificates.pem'",
            "global.extra-index-url='https://a.example/simple https://b.example/simple'",
            "global.find-links='/others'",
            "install.index-url='https://c.example/simple'",
            "list.format='columns'",
        ]
    )
    pip = tmp_path / "pip"
    pip.write_text(f"#!/bin/sh\ncat <<'END'\n{listing}\nEND\n")
    pip.chmod(0o755)
    command = installers.uv_command([str(pip)], ["--extra-index-url", "https://d.example"], tmp_path / "pins.txt")
    assert command[:2] == ["env", "SSL_CERT_FILE=/certificates.pem"]
    wanted = ["--default-index", "https://c.example/simple"]
    wanted += ["--index", "https://a.example/simple", "--index", "https://b.example/simple"]
    wanted += ["--find-links", "/wheels", "--extra-index-url", "https://d.example", "-r", str(tmp_path / "pins.txt")]
    assert command[-len(wanted) :] == wanted


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
