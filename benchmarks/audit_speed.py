"""What ``k2lab audit`` takes for a million exchanges: rate, memory of all its processes, and sizes of files.

Exchanges are made from the sets at hand: lines as K2VV's runner writes them (``check_speed``), the requests and answers
of a run of K2VV where one lies beside this checkout, k2-nano's benchmark, and the exchanges of ``data``; each with its
own id, model, vendor and day. Run it as ``python -m benchmarks.audit_speed --lines 1000000``. The time is
that of the wall from the first process to the finished page, and means something on a machine that does nothing else;
beside it stands the CPU time of all processes.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.check_speed import line
from k2lab import paths
from k2lab.nano import benchmark

ROOT = Path(__file__).resolve().parents[1]
K2VV = ROOT.parent / "shared" / "data" / "k2vv-run" / "results.jsonl"
MODELS = ("kimi-k2-0905-preview", "kimi-k2-thinking", "kimi-k2.5")
VENDORS = ("a.example", "b.example", "c.example")
SEEN_EVERY_S = 0.1


def exchanges(rng):
    """Pairs of a request and an answer, of which lines are made."""
    pairs = [(made["request"], made["response"]) for made in (line(number, rng) for number in range(4000))]
    for path in sorted((paths.data_dir() / "exchanges").glob("*.json")):
        value = json.loads(path.read_text())
        pairs += [(value["request"], value["response"])] if "request" in value else []
    if K2VV.is_file():
        values = [json.loads(text) for text in K2VV.read_text().splitlines()]
        pairs += [(value["request"], value["response"]) for value in values]
    said = pairs[0][1]
    pairs += [(request, said) for request in nano_requests(400)]
    return [({name: part for name, part in request.items() if name != "model"}, said) for request, said in pairs]


def nano_requests(count):
    """Requests of k2-nano's benchmark, whose answers are another's: what does not fit them is a finding."""
    with tempfile.TemporaryDirectory() as folder:
        samples, _ = benchmark.write(Path(folder), count)
        return [json.loads(text) for text in samples.read_text().splitlines()]


def write(path, lines):
    rng = random.Random(0)
    pairs = [(json.dumps(request)[1:], json.dumps(answer)) for request, answer in exchanges(rng)]
    with path.open("w") as file:
        for number in range(lines):
            request, answer = rng.choice(pairs)
            model, vendor, day = MODELS[number % 3], VENDORS[number % 7 % 3], 1 + number * 28 // lines
            file.write(
                f'{{"data_index": {number}, "provider": "{vendor}", "last_run_at": "2026-11-{day:02d}T12:00:00Z",'
                f' "request": {{"user": "u{number}", "model": "{model}", {request}, "response": {answer}}}\n'
            )


class Peak:
    """The most memory that a process and those below it hold at once."""

    def __init__(self, process):
        self.bytes, self._process, self._ended = 0, process, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self):
        while not self._ended.wait(SEEN_EVERY_S):
            try:
                whole = [self._process, *self._process.children(recursive=True)]
                self.bytes = max(self.bytes, sum(map(own, whole)))
            except psutil.Error:
                continue

    def end(self):
        self._ended.set()
        self._thread.join()
        return self.bytes


def own(process):
    """What a process alone holds: pages that it shares are not counted twice."""
    try:
        return process.memory_full_info().uss
    except psutil.Error:
        return 0


def size(path):
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--engine", default="local")
    parser.add_argument("--folder", type=Path, default=None, help="Keep the input and the output here.")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    source, out = folder / "in.jsonl", folder / "out"
    if not source.is_file():
        write(source, options.lines)
    shutil.rmtree(out, ignore_errors=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    words = [sys.executable, "-m", "k2lab", "-q", "audit", source, "--out", out, "--workers", str(options.workers)]
    process = subprocess.Popen([*words, "--engine", options.engine], cwd=ROOT, stdout=subprocess.DEVNULL)
    peak = Peak(psutil.Process(process.pid))
    process.wait()
    taken, most = time.perf_counter() - begun, peak.end()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = json.loads((out / "summary.json").read_text())
    count = summary["looked"] + summary["unknown"]
    print(f"{count:,} exchanges of {source.stat().st_size / count:,.0f} bytes, {summary['findings']:,} findings,"
          f" {options.workers} workers, engine {options.engine}")  # fmt: skip
    print(f"{count / taken:,.0f} exchanges/s of the wall in {taken:,.1f} s; {count / cpu:,.0f} a second of CPU time")
    report = (out / "report.html").stat().st_size
    print(f"{most / 2**20:,.0f} MiB at most in all processes; input {source.stat().st_size / 2**20:,.0f} MiB,"
          f" Parquet {size(out / 'findings') / 2**20:,.1f} MiB, report {report:,} bytes")  # fmt: skip
    if options.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
