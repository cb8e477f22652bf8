import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from k2lab.audit.auditrun import run_audit
from k2lab.audit.cluster import PASSING, letting_units_fail
from k2lab.audit.parts import parts_in
from k2lab.audit.processpool import run_locally
from k2lab.audit.sources import sources_of
from k2lab.audit.units import units_of
from k2lab.audit.work import Work
from k2lab.check.looking import Look
from k2lab.errors import InputError
from k2lab.findings import CATALOGUE
from tests.conftest import ROOT
from tests.helpers.processes import gone, until
from tests.unit.audit.made import line, lines, write
from tests.unit.audit.test_running import files

SLOWLY = """
import sys, time
from pathlib import Path
from k2lab.audit import auditrun, datasets, processpool, work

def run(units, given, tell, *, workers=None):
    for unit in units:
        time.sleep(0.03)
        tell(unit, work.worked(given, unit))

written = datasets.write
def write(*given):
    for rows in written(*given):
        time.sleep(0.03)
        yield rows

processpool.run_locally = run
datasets.write = write
auditrun.run_audit([sys.argv[1]], Path(sys.argv[2]), unit_bytes=6000)
"""
"""An audit of many small pieces in one process, slow enough to be killed between any two of them."""


@pytest.mark.long
def test_an_audit_that_is_killed_ten_times_gives_what_an_unbroken_one_gives(tmp_path):
    path, out = write(tmp_path / "in.jsonl", lines(120)), tmp_path / "out"
    unbroken = run_audit([str(path)], tmp_path / "whole", workers=1)
    state = out / ".k2lab-audit"

    def either(reached, process):
        return reached() or process.poll() is not None

    def parts():
        return len(list(state.glob("part-*.json")))

    moments = [lambda n=n: parts() >= n for n in range(1, 9)]
    moments += [lambda n=n: len(list((out / "findings").rglob("*.parquet"))) >= n for n in (1, 3)]
    for number, reached in enumerate(moments):
        process = subprocess.Popen([sys.executable, "-c", SLOWLY, path, out], cwd=ROOT)
        assert until(partial(either, reached, process), 60), number
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, f"kill {number} came too late"
        assert not (out / "summary.json").exists()
    subprocess.run([sys.executable, "-c", SLOWLY, path, out], cwd=ROOT, check=True)
    assert files(out) == files(tmp_path / "whole") and unbroken.looked == 120
    assert (out / "summary.json").read_bytes() == (tmp_path / "whole" / "summary.json").read_bytes()
    assert sorted(one.name for one in state.iterdir()) == ["lock", "manifest.json", "tally.json", "units.json"]


@pytest.mark.long
def test_workers_end_with_a_killed_audit_and_a_second_one_waits_its_turn(tmp_path):
    path, out = write(tmp_path / "in.jsonl", lines(6000)), tmp_path / "out"
    code = "import sys; from pathlib import Path; from k2lab.audit.auditrun import run_audit\n"
    code += "if __name__ == '__main__': run_audit([sys.argv[1]], Path(sys.argv[2]), workers=2, unit_bytes=50_000)"
    script = tmp_path / "run.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, script, path, out], env=environment)
    assert until(lambda: list((out / ".k2lab-audit").glob("part-*.json")) or process.poll() is not None, 120)
    with pytest.raises(InputError, match="another audit is writing"):
        run_audit([str(path)], out)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert len(workers) >= 2 and all(gone(worker.pid) for worker in workers)
    summary = run_audit([str(path)], out, workers=1, unit_bytes=50_000)
    assert summary.looked == 6000 and summary.unknown == 0


DIED = "a process died of it, or took too long"


class Deadly(frozenset):
    """Names of findings, one of which ends the process that asks for it."""

    def __contains__(self, name):
        if name == "schema_violation":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__contains__(name)


@pytest.mark.long
def test_a_batch_that_kills_its_process_is_named_and_the_rest_is_looked_at(tmp_path):
    values = [line(n, "A005" if n == 50 else "A111") for n in range(100)]
    other = write(tmp_path / "b.jsonl", [line(n, "A003") for n in range(10)])
    units = units_of(sources_of([str(write(tmp_path / "a.jsonl", values)), str(other)]).found)
    work = Work(folder=tmp_path / "state", look=Look(names=Deadly(CATALOGUE)))
    work.folder.mkdir()
    told = []
    run_locally(units, work, lambda unit, rows: told.append((unit.number, rows)), workers=1)
    first, second = parts_in(work.folder)
    assert sorted(told) == [(0, 100), (1, 10)]
    assert first.tally.reasons == {DIED: 32} and first.tally.findings == {"A111": 68}
    assert [row for (_, row, _), _ in first.tally.unknown] == list(range(33, 65))
    assert second.tally.findings == {"A003": 10}


def endless(path, count):
    """A file with an exchange, the 36th, whose tool has a pattern that never comes back."""
    values = [line(n, "A003") for n in range(count)]
    function = values[35]["request"]["tools"][0]["function"]
    function["parameters"] = {"type": "object", "properties": {"city": {"type": "string", "pattern": "^(a+)+$"}}}
    call = {"id": "functions.now:0", "type": "function",
            "function": {"name": "now", "arguments": json.dumps({"city": "a" * 60 + "!"})}}  # fmt: skip
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    values[35]["response"] = {"choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]}
    return write(path, values)


@pytest.mark.long
def test_an_exchange_that_would_take_for_ever_is_given_up_and_named(tmp_path):
    units = units_of(sources_of([str(endless(tmp_path / "a.jsonl", 40))]).found)
    work = Work(folder=tmp_path / "state", most_cpu_s=3.0)
    work.folder.mkdir()
    run_locally(units, work, lambda unit, rows: None, workers=1)
    (part,) = parts_in(work.folder)
    assert part.tally.findings == {"A003": 32} and part.tally.reasons == {DIED: 8}


LIMITED = """
import sys
from pathlib import Path
from k2lab.audit.cluster import run_on_ray
from k2lab.audit.processpool import run_locally
from k2lab.audit.sources import sources_of
from k2lab.audit.units import units_of
from k2lab.audit.work import Work

if __name__ == "__main__":
    units = units_of(sources_of([sys.argv[1]]).found, unit_bytes=40_000)
    for engine, folder in ((run_on_ray, sys.argv[2]), (run_locally, sys.argv[3])):
        engine(units, Work(folder=Path(folder), most_cpu_s=3.0), lambda unit, rows: None)
"""


@pytest.mark.long
@pytest.mark.xdist_group("ray")
def test_ray_gives_up_what_processes_give_up(tmp_path):
    path, states = endless(tmp_path / "a.jsonl", 120), [tmp_path / "ray", tmp_path / "local"]
    for state in states:
        state.mkdir()
    script = tmp_path / "run.py"
    script.write_text(LIMITED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run([sys.executable, script, path, *states], env=environment, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-3000:]
    on_ray, here = ({one.name: one.read_bytes() for one in state.iterdir()} for state in states)
    assert on_ray == here
    assert sum(part.tally.reasons[DIED] for part in parts_in(states[0])) > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("fails", [False, True])
def test_ray_data_is_set_as_it_was_however_an_audit_ends(fails):
    import ray.data

    def settings():
        context = ray.data.DataContext.get_current()
        return {name: getattr(context, name) for name in PASSING} | {"level": logging.getLogger("ray.data").level}

    before = settings()
    with pytest.raises(KeyError) if fails else contextlib.nullcontext(), letting_units_fail():
        assert settings() == {**PASSING, "level": logging.CRITICAL} != before
        if fails:
            raise KeyError
    assert settings() == before and not ray.is_initialized()


MEASURED = """
import sys
from pathlib import Path
from k2lab.audit.sources import sources_of
from k2lab.audit.units import units_of
from k2lab.audit.work import Work, worked
for unit in units_of(sources_of([sys.argv[1]]).found, unit_bytes=1 << 30):
    worked(Work(folder=Path(sys.argv[2])), unit)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # rusage has the parent's, too
Path(sys.argv[3]).write_text(str(int(peak.split()[1]) // 1024))
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="a process's own peak is Linux's")
def test_memory_does_not_grow_with_a_file(tmp_path):
    def peak_mib(count):
        path = write(tmp_path / f"{count}.jsonl", lines(count))
        command = [sys.executable, "-c", MEASURED, path, tmp_path, tmp_path / "peak"]
        subprocess.run(command, cwd=ROOT, check=True)
        return int((tmp_path / "peak").read_text())

    few, many = peak_mib(2_000), peak_mib(12_000)
    assert many < few + 25, (few, many)


@pytest.mark.long
def test_the_command_says_what_it_found_and_ends_with_the_status_of_check(k2lab, tmp_path):
    def status(name, values, *more):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(f"{json.dumps(one) if not isinstance(one, str) else one}\n" for one in values))
        return k2lab("audit", path, "--out", tmp_path / name, "--workers", 1, *more)

    clean = status("clean", [line(1), line(2)])
    assert clean.returncode == 0 and "2 exchanges looked at" in clean.stdout and "Nothing wrong" in clean.stdout
    faulty = status("faulty", lines(12), "--json")
    assert faulty.returncode == 1 and json.loads(faulty.stdout)["faulty"]["count"] == 10
    assert status("unread", [line(1), "nonsense"]).returncode == 2
    assert (tmp_path / "faulty" / "report.html").read_text().startswith("<!DOCTYPE html>")
    again = k2lab("audit", tmp_path / "faulty.jsonl", "--out", tmp_path / "faulty", "--select", "A003")
    assert again.returncode == 1 and "with another --select or --ignore" in again.stderr
    missing = k2lab("audit", tmp_path / "nowhere", "--out", tmp_path / "x")
    assert missing.returncode == 1 and missing.stderr.count("\n") == 1
    assert not (tmp_path / "x").exists()


@pytest.mark.long
@pytest.mark.xdist_group("ray")
def test_ray_gives_what_processes_give_and_listens_on_loopback_alone(tmp_path):
    path = write(tmp_path / "in.jsonl", lines(20_000))
    with path.open("a") as file:
        file.write('{"request": {\n')
    script = tmp_path / "run.py"
    script.write_text(ON_RAY)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run([sys.executable, script, path, tmp_path / "ray"], env=environment, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == []
    local = run_audit([str(path)], tmp_path / "local", workers=1)
    assert files(tmp_path / "ray") == files(tmp_path / "local") and local.looked == 20_000 and local.unknown == 1
    assert (tmp_path / "ray" / "summary.json").read_bytes() == (tmp_path / "local" / "summary.json").read_bytes()


ON_RAY = """
import ipaddress, json, sys
from pathlib import Path
import psutil
from k2lab.audit.auditrun import AuditOptions, run_audit

outside = set()

def tell(line, done, of):
    for one in psutil.Process().children(recursive=True):
        try:
            for connection in one.net_connections("tcp"):
                address = ipaddress.ip_address(connection.laddr.ip)
                address = getattr(address, "ipv4_mapped", None) or address
                if connection.status == psutil.CONN_LISTEN and not address.is_loopback:
                    outside.add((one.name(), str(address)))
        except psutil.Error:
            continue

if __name__ == "__main__":
    run_audit([sys.argv[1]], Path(sys.argv[2]), engine="ray", unit_bytes=2_000_000, tell=tell)
    print(json.dumps(sorted(outside)))
"""


def test_paths_of_a_pattern_are_read_and_named_as_they_were_given(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "a.jsonl", lines(3))
    monkeypatch.chdir(tmp_path)
    assert [one.path for one in sources_of(["in/*.jsonl"]).found] == [str(Path("in", "a.jsonl"))]
