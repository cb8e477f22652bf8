"""What commands write is its owner's alone, under a umask that lets everybody read and write."""

import json
import subprocess
import sys

from k2lab.bench import store
from tests.conftest import ROOT
from tests.fuzz import _material


def rights(folder):
    return {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}


def test_files_and_folders_of_a_command_are_their_owners_alone(tmp_path):
    (tmp_path / "results.jsonl").write_text(json.dumps({"data_index": 1, "finish_reason": "stop"}) + "\n")
    out = tmp_path / "out"
    code = f"umask 000; '{sys.executable}' -m k2lab bench samples '{out}' --count 5"
    subprocess.run(["bash", "-c", code], cwd=ROOT, check=True, capture_output=True)
    written = rights(tmp_path)
    assert written.pop("results.jsonl") and written.pop("out") == 0o700 and set(written.values()) == {0o600}


def test_a_benchmark_file_is_closed_with_its_log_and_an_old_one_too(tmp_path):
    path = tmp_path / "run.db"
    code = f"""if True:
        import os
        from pathlib import Path
        from k2lab.bench import store
        os.umask(0)
        with store.writing(Path({str(path)!r})):
            print(*(oct(p.stat().st_mode & 0o777) for p in sorted(Path({str(tmp_path)!r}).glob("run.db*"))))
        """
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert set(done.stdout.split()) == {"0o600"} and len(done.stdout.split()) >= 3
        path.chmod(0o644)
    with store.reading(path):
        pass


def test_what_is_written_from_python_is_its_owners_alone_too(tmp_path):
    code = f"""if True:
        import os
        from pathlib import Path
        from k2lab.bench import k2vv, store
        from k2lab.nano import benchmark
        place = Path({str(tmp_path)!r})
        os.umask(0)
        benchmark.write(place / "samples", count=3)
        with store.writing(place / "run.db") as file:
            arm = k2vv.load(file, place / "given.jsonl", "a").run
            k2vv.export(file, arm, place / "out")
        """
    (tmp_path / "given.jsonl").write_text("".join(json.dumps(one) + "\n" for one in _material.results(3)))
    (tmp_path / "given.jsonl").chmod(0o600)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    files = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert set(files.values()) == {0o600}, files
    assert {"samples.jsonl", "labels.jsonl", "results.jsonl", "summary.json", "run.db", "run.db.lock"} <= files.keys()
