"""Processes that are forked from a warm one, with a stand-in for vLLM."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from k2lab import engine
from k2lab.engine import server, variables, warm
from k2lab.errors import EngineError
from tests.conftest import ROOT
from tests.helpers.processes import gone, until

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
    warm.end_all()


@pytest.fixture
def begun(environment, tmp_path):
    """Forks that serve, with their log."""
    forks = []

    def begin():
        port = server.free_port()
        argv = ["-m", warm.SERVER_MODULE, "--host", "127.0.0.1", "--port", str(port)]
        forks.append(warm.fork(PYTHON, argv, environment))
        log = tmp_path / f"{len(forks)}.log"
        with log.open("ab") as out, Path(os.devnull).open("rb") as nothing:
            forks[-1].begin((nothing, out, out))
        assert until(lambda: log.read_text().count("\ncore ") == 2), log.read_text()
        return forks[-1], log.read_text()

    yield begin
    for one in forks:
        one.connection.close()


def process():
    """The warm process that was started here."""
    return warm._mine[warm.address_of(PYTHON)]


def cores(log):
    return [tuple(map(int, found)) for found in re.findall(r"^core (\d+) (\d+) (\d+)$", log, re.MULTILINE)]


def test_a_fork_is_what_an_interpreter_of_its_own_is(environment, begun):
    fork, log = begun()
    assert os.getsid(fork.pid) == fork.pid
    assert log.startswith("imported in") and log.count("imported in") == 4  # by each as its main module
    state = Path(f"/proc/{fork.pid}/status").read_text()
    ignored = int(re.search(r"^SigIgn:\s+(\w+)$", state, re.MULTILINE)[1], 16)
    assert not ignored & 1 << signal.SIGCHLD - 1 and not ignored & 1 << signal.SIGTERM - 1


def test_the_first_core_is_forked_and_the_second_starts_anew_both_children_of_their_server(environment, begun):
    fork, log = begun()
    worker = process().pid
    first, second = sorted(cores(log), key=lambda core: core[1] != worker)
    assert first[1:] == (worker, fork.pid) and second[1:] == (second[0], fork.pid)
    assert {os.getpgid(pid) for pid, *_ in (first, second)} == {fork.pid}
    assert begun()[0].pid != fork.pid


def test_who_watches_a_fork_sees_it_end_and_leaves_no_zombie(environment, begun):
    fork, _ = begun()
    os.killpg(fork.pid, signal.SIGKILL)
    fork.connection.settimeout(15)
    assert fork.connection.recv(1) == b"" and until(lambda: not psutil.pid_exists(fork.pid))


def test_a_fork_and_its_children_are_asked_to_end_when_nobody_watches_it_any_more(environment, begun):
    fork, log = begun()
    fork.connection.close()
    assert gone(fork.pid) and len(cores(log)) == 2 and all(gone(pid) for pid, *_ in cores(log))


def test_a_fork_that_is_not_begun_ends(environment):
    fork = warm.fork(PYTHON, ["-m", warm.SERVER_MODULE], environment)
    assert psutil.pid_exists(fork.pid)
    fork.connection.close()
    assert gone(fork.pid)


def test_forks_outlive_the_warm_process_and_another_is_started_in_its_place(environment, begun):
    fork, _ = begun()
    process().kill()
    process().wait()
    assert not warm.is_there(warm.address_of(PYTHON))
    assert psutil.Process(fork.pid).status() != psutil.STATUS_ZOMBIE
    assert begun()[0].pid != fork.pid


def test_a_warm_process_that_is_killed_as_it_imports_is_said_to_be_gone(environment):
    slow = environment | {"FAKE_IMPORTS": "slow"}
    warm.ready(PYTHON, slow)
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {process().pid}"])
    with pytest.raises(warm.Refused, match="went away"):
        warm.fork(PYTHON, ["-m", "x"], slow)
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
    warm.ready(PYTHON, environment | started_with)
    with pytest.raises(warm.Refused, match=why) as caught:
        warm.fork(PYTHON, ["-m", "x"], environment | asked_with)
    assert "sk-secret" not in str(caught.value)


def test_what_terminals_and_kernels_set_makes_no_difference(environment):
    warm.ready(PYTHON, environment | {"COLUMNS": "80"})
    asked = environment | {"COLUMNS": "120", "JPY_PARENT_PID": "1"}
    warm.fork(PYTHON, ["-m", "x"], asked).connection.close()


def test_a_script_is_run_with_its_input_environment_and_what_the_imports_set(environment, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "from vllm.v1.engine import core\n"
        "print(sys.argv[1:], sys.stdin.read(), os.environ['SET_BY_IMPORTS'], os.environ['TERM'], core.IMPORTED_IN)\n"
        "sys.exit('the end')"
    )
    out, errors = warm.run(PYTHON, [str(script), "a"], environment | {"TERM": "x"}, "given", 30.0)
    assert out == f"['a'] given yes x {process().pid}\n" and errors.endswith("the end\n")
    refused = environment | {"VLLM_API_KEY": "x"}
    out, errors = warm.run(PYTHON, [str(script), "a"], refused | {"SET_BY_IMPORTS": "no"}, "given", 30.0)
    assert out.startswith("['a'] given") and str(process().pid) not in out and errors.endswith("the end\n")
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(600)")
    with pytest.raises(TimeoutError):
        warm.run(PYTHON, [str(slow)], environment, "", 0.2)
    with pytest.raises(TimeoutError):
        warm.run(PYTHON, [str(slow)], refused, "", 0.2)


def test_there_is_one_warm_process_for_an_interpreter_and_it_ends_with_its_owner(environment, tmp_path):
    code = """
        import os, sys, time
        from pathlib import Path
        from k2lab.engine import warm
        fork = warm.fork(Path(sys.executable), ["-m", "x"], dict(os.environ))
        [(address, process)] = warm._mine.items()
        print(address, process.pid, fork.pid, flush=True)
        time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    address, worker, fork = owner.stdout.readline().split()
    assert warm.ready(PYTHON, environment) == address and address not in warm._mine
    owner.kill()
    owner.wait()
    assert gone(int(worker)) and gone(int(fork)) and not warm.is_there(address)


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


@pytest.fixture
def start(environment, model):
    """Start servers as a fleet does; all end with the test."""
    servers = []

    def start(python=PYTHON, **options):
        servers.append(engine.start(python, "fake", model, fork=True, **options))
        return servers[-1], Path(servers[-1].log).read_text()

    yield start
    with ThreadPoolExecutor() as pool:
        list(pool.map(engine.stop, servers))


def is_forked(one):
    return psutil.Process(one.server_pid).ppid() == process().pid


def test_a_forked_server_is_started_listed_and_ended_with_its_children(start):
    one, log = start(flags=["--extra"])
    pids = [*psutil.Process(one.server_pid).children(recursive=True)]
    assert is_forked(one) and len(pids) >= 2 and "--extra" in log
    assert engine.running() == [one] and " -m vllm.entrypoints.openai.api_server --model " in one.command
    assert engine.stop(one) and engine.running() == []
    assert gone(one.server_pid) and gone(one.supervisor_pid) and all(gone(each.pid) for each in pids)
    assert not process().poll() and until(lambda: not psutil.Process(process().pid).children())


def test_a_forked_server_that_dies_says_why_and_how_to_repeat_it(start, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM", "dies")
    with pytest.raises(EngineError, match="ended before it was ready") as caught:
        start()
    assert "ValueError: the model cannot be loaded" in str(caught.value) and "to repeat: " in str(caught.value)
    assert engine.running() == []


@pytest.mark.parametrize("victim", ["server_pid", "supervisor_pid"])
def test_what_is_left_of_a_forked_server_ends_when_one_part_is_killed(start, victim):
    one, _ = start()
    assert until(lambda: len(cores(Path(one.log).read_text())) == 2)
    pids = [one.server_pid, one.supervisor_pid, *(pid for pid, *_ in cores(Path(one.log).read_text()))]
    os.kill(getattr(one, victim), signal.SIGKILL)
    assert all(gone(pid) for pid in pids) and engine.running() == []


def test_a_warm_process_that_goes_in_the_middle_of_a_start_costs_only_time(start, monkeypatch, caplog):
    caplog.set_level("INFO", "k2lab")
    monkeypatch.setenv("FAKE_IMPORTS", "slow")
    warm.ready(PYTHON, variables.environment("fake"))
    monkeypatch.delenv("FAKE_IMPORTS")
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {process().pid}"])
    one, _ = start()
    killer.wait()
    assert engine.running() == [one] and not is_forked(one)
    assert "starting an interpreter of its own: the warm process went away" in caplog.text


def test_forked_servers_end_with_the_process_that_owns_them_however_it_ends(environment, model):
    code = f"""
        import sys, time
        from pathlib import Path
        from k2lab import engine
        from k2lab.engine import warm
        for _ in range(2):
            server = engine.start(Path(sys.executable), "fake", Path({str(model)!r}), fork=True)
            print(server.server_pid, server.supervisor_pid, *(process.pid for process in warm._mine.values()))
        sys.stdout.flush()
        time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    first, second = (owner.stdout.readline().split() for _ in range(2))
    assert first[2] == second[2] and psutil.pid_exists(int(first[0]))
    owner.kill()
    owner.wait()
    assert all(gone(int(pid)) for pid in {*first, *second})


def test_servers_of_two_engines_come_up_side_by_side(start, tmp_path):
    other = tmp_path / "python"
    other.symlink_to(PYTHON)
    with ThreadPoolExecutor() as pool:
        started = [one for one, _ in pool.map(start, (PYTHON, other, PYTHON, other))]
    parents = {psutil.Process(one.server_pid).ppid() for one in started}
    assert len(started) == 4 and parents == {one.pid for one in warm._mine.values()} and len(parents) == 2
