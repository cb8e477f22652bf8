"""Processes that are forked from a warm one, with a stand-in for vLLM."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from k2lab.engine import server, warm
from tests.conftest import ROOT

PYTHON = Path(sys.executable)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="engines run on Linux")


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A cache folder of its own, and a vllm whose imports print and set a variable; ``slow`` takes its time."""
    place = tmp_path / "path" / "vllm"
    for package in ("entrypoints/openai", "v1/engine"):
        (place / package).mkdir(parents=True)
    shutil.copyfile(ROOT / "tests" / "helpers" / "fake_vllm.py", place / "entrypoints" / "openai" / "api_server.py")
    imports = """
        import os, time, threading
        IMPORTED_IN = os.getpid()
        os.environ["SET_BY_IMPORTS"] = "yes"
        if os.environ.get("FAKE_IMPORTS") == "slow":
            time.sleep(600)
        if os.environ.get("FAKE_IMPORTS") == "thread":
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    """
    (place / "v1" / "engine" / "core.py").write_text(textwrap.dedent(imports))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path / "cache"))
    yield dict(os.environ)
    for address in [*warm._mine]:
        warm.end(address)


@pytest.fixture
def begun(environment, tmp_path):
    """Forks that serve, with their log."""
    forks = []

    def begin(address, number=0):
        port = server.free_port()
        argv = ["-m", warm.SERVER_MODULE, "--host", "127.0.0.1", "--port", str(port)]
        forks.append(warm.fork(address, argv, environment))
        log = tmp_path / f"{len(forks)}.log"
        with log.open("ab") as out, Path(os.devnull).open("rb") as nothing:
            forks[-1].begin((nothing, out, out))
        assert until(lambda: log.read_text().count("\ncore ") == 2), log.read_text()
        return forks[-1], log.read_text()

    yield begin
    for one in forks:
        one.connection.close()


def until(true, within_s=15.0):
    deadline = time.monotonic() + within_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def gone(pid):
    return until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def cores(log):
    return [tuple(map(int, found)) for found in re.findall(r"^core (\d+) (\d+) (\d+)$", log, re.MULTILINE)]


def test_a_fork_is_what_an_interpreter_of_its_own_is(environment, begun):
    address = warm.ready(PYTHON, environment)
    fork, log = begun(address)
    process = psutil.Process(fork.pid)
    assert os.getsid(fork.pid) == fork.pid and process.terminal() is None
    assert log.startswith("imported in") and log.count("imported in") == 4  # by each as its main module
    state = Path(f"/proc/{fork.pid}/status").read_text()
    ignored = int(re.search(r"^SigIgn:\s+(\w+)$", state, re.MULTILINE)[1], 16)
    assert not ignored & 1 << signal.SIGCHLD - 1 and not ignored & 1 << signal.SIGTERM - 1


def test_the_first_core_is_forked_and_the_second_starts_anew_both_children_of_their_server(environment, begun):
    address = warm.ready(PYTHON, environment)
    fork, log = begun(address)
    worker = warm._mine[address].pid
    first, second = sorted(cores(log), key=lambda core: core[1] != worker)
    assert first[1:] == (worker, fork.pid) and second[1:] == (second[0], fork.pid)
    assert {os.getpgid(pid) for pid, *_ in (first, second)} == {fork.pid}
    assert begun(address)[0].pid != fork.pid


def test_who_watches_a_fork_sees_it_end_and_leaves_no_zombie(environment, begun):
    address = warm.ready(PYTHON, environment)
    fork, _ = begun(address)
    os.killpg(fork.pid, signal.SIGKILL)
    fork.connection.settimeout(15)
    assert fork.connection.recv(1) == b"" and until(lambda: not psutil.pid_exists(fork.pid))


def test_a_fork_is_asked_to_end_when_nobody_watches_it_any_more(environment, begun):
    fork, log = begun(warm.ready(PYTHON, environment))
    fork.connection.close()
    assert gone(fork.pid) and cores(log)


def test_a_fork_that_is_not_begun_ends(environment):
    fork = warm.fork(warm.ready(PYTHON, environment), ["-m", warm.SERVER_MODULE], environment)
    assert psutil.pid_exists(fork.pid)
    fork.connection.close()
    assert gone(fork.pid)


def test_forks_outlive_the_warm_process_and_another_is_started_in_its_place(environment, begun):
    address = warm.ready(PYTHON, environment)
    fork, _ = begun(address)
    warm._mine[address].kill()
    warm._mine[address].wait()
    assert not warm.is_there(address) and psutil.Process(fork.pid).status() != psutil.STATUS_ZOMBIE
    with pytest.raises(warm.Refused, match="no warm process"):
        warm.fork(address, ["-m", "x"], environment)
    assert begun(warm.ready(PYTHON, environment))[0].pid != fork.pid


def test_a_warm_process_that_is_killed_as_it_imports_is_said_to_be_gone(environment):
    slow = environment | {"FAKE_IMPORTS": "slow"}
    address = warm.ready(PYTHON, slow)
    process = warm._mine[address]
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {process.pid}"])
    with pytest.raises(warm.Refused, match="went away"):
        warm.fork(address, ["-m", "x"], slow)
    killer.wait()


@pytest.mark.parametrize(
    ("started_with", "asked_with", "why"),
    [
        ({}, {"VLLM_API_KEY": "sk-secret"}, "VLLM_API_KEY had another value"),
        ({"OMP_NUM_THREADS": "2"}, {}, "OMP_NUM_THREADS had another value"),
        ({"FAKE_IMPORTS": "thread"}, {"FAKE_IMPORTS": "thread"}, "2 threads run"),
    ],
)
def test_no_fork_is_made_that_would_differ_from_an_interpreter_of_its_own(environment, started_with, asked_with, why):
    address = warm.ready(PYTHON, environment | started_with)
    with pytest.raises(warm.Refused, match=why) as caught:
        warm.fork(address, ["-m", "x"], environment | asked_with)
    assert "sk-secret" not in str(caught.value)


def test_what_terminals_and_kernels_set_makes_no_difference(environment):
    address = warm.ready(PYTHON, environment | {"COLUMNS": "80"})
    asked = environment | {"COLUMNS": "120", "JPY_PARENT_PID": "1"}
    warm.fork(address, ["-m", "x"], asked).connection.close()


def test_a_script_is_run_with_its_input_environment_and_what_the_imports_set(environment, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "from vllm.v1.engine import core\n"
        "print(sys.argv[1:], sys.stdin.read(), os.environ['SET_BY_IMPORTS'], os.environ['TERM'], core.IMPORTED_IN)\n"
        "sys.exit('the end')"
    )
    address = warm.ready(PYTHON, environment)
    out, errors = warm.run(address, [str(script), "a"], environment | {"TERM": "x"}, "given", 30.0)
    assert out == f"['a'] given yes x {warm._mine[address].pid}\n" and errors.endswith("the end\n")
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(600)")
    with pytest.raises(TimeoutError):
        warm.run(address, [str(slow)], environment, "", 0.2)


def test_there_is_one_warm_process_for_an_interpreter_and_it_ends_with_its_owner(environment, tmp_path):
    code = """
        import os, sys, time
        from pathlib import Path
        from k2lab.engine import warm
        address = warm.ready(Path(sys.executable), dict(os.environ))
        fork = warm.fork(address, ["-m", "x"], dict(os.environ))
        print(address, warm._mine[address].pid, fork.pid, flush=True)
        time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    address, worker, fork = owner.stdout.readline().split()
    assert warm.ready(PYTHON, environment) == address and address not in warm._mine
    owner.kill()
    owner.wait()
    assert gone(int(worker)) and gone(int(fork)) and not warm.is_there(address)
