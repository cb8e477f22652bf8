import logging
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from k2lab.engine import environments, installers, locks
from k2lab.errors import EngineError
from tests.helpers.processes import until

PYTHON = Path(sys.executable)
SMALL = next(pin for pin in locks.read("0.32.0").pins if pin.name == "idna")


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

    @pytest.mark.long
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

    @pytest.mark.long
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

    @pytest.mark.long
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
