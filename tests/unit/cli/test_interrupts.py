"""Signals that end a command, at its first moment and while it starts a server."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.conftest import ROOT

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
MARK = "K2LAB_TEST_MARK"


def marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_during_the_first_imports_is_one_line_and_an_exit_status(number):
    code = f"import os, k2lab.__main__; os.kill(os.getpid(), {int(number)}); import k2lab.cli; print('went on')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "k2lab: interrupted\n")


def test_a_signal_that_is_ignored_stays_ignored():
    code = "import os, signal; signal.signal(1, signal.SIG_IGN); import k2lab.__main__; os.kill(os.getpid(), 1)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("number", [*ENDING, signal.SIGKILL])
def test_a_signal_before_the_server_is_ready_leaves_neither_it_nor_its_supervisor(number, tmp_path):
    python, model, mark = tmp_path / "python", tmp_path / "model", f"{os.getpid()}-{int(number)}"
    python.write_text(
        f'#!/bin/sh\ncase "$1" in -c) exit 0;; esac\nexec {sys.executable} -c "import time; time.sleep(60)"\n'
    )
    python.chmod(0o755)
    model.mkdir()
    (model / "config.json").write_text("{}")
    command = [sys.executable, "-m", "k2lab", "engine", "serve", str(python), "--model", str(model)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "K2LAB_CACHE": str(tmp_path / "cache"), MARK: mark}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    while len(found := marked(mark)) < 3 and time.monotonic() < until:  # one that begins another program shows no mark
        time.sleep(0.05)
    assert len(found) == 3  # the command, the supervisor, the server
    process.send_signal(number)
    told = process.communicate()[1]
    expected = -number if number == signal.SIGKILL else 128 + number
    assert process.returncode == expected and "Traceback" not in told
    while marked(mark) and time.monotonic() < until:
        time.sleep(0.05)
    assert marked(mark) == [] and list((tmp_path / "cache" / "servers").glob("*.json")) == []
