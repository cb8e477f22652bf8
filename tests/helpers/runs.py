"""Runs against the stub, and what they leave in their file."""

import contextlib
import itertools
import json
import sqlite3
from pathlib import Path

from k2lab.bench import runner, store
from k2lab.bench.arm import Arm
from k2lab.bench.limits import Limits
from k2lab.bench.samples import open_samples
from k2lab.errors import InputError

BEFORE = Path(__file__).parents[1] / "unit" / "bench" / "before"
"""A file of format 2, as text, and the samples that were asked for it. Its tag of ``thinking="may"`` is today's: the
one of then let a call begin inside the reasoning."""

TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
NUMBERS = itertools.count()


def request(mode="ok", **fields):
    user = f"user {next(NUMBERS)}"
    return {"messages": [{"role": "user", "content": "hi"}], "metadata": {"stub": mode}, "user": user, **fields}


def written(folder, requests):
    folder.mkdir(exist_ok=True)
    path = folder / "samples.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in requests))
    return open_samples(path)


def ask(folder, url, requests, *, arm="arm", limits=None, options=None, out="run.db", **fields):
    """Run requests into the folder's file ``out``; ``fields`` are the arm's, ``options`` those of the run."""
    arm = Arm(name=arm, base_url=url, **{"model": "m"} | fields)
    limits = limits or Limits(concurrency=4)
    return runner.run_benchmark(written(folder, requests), arm, folder / out, limits=limits, **options or {})


def restored(path):
    """The file of format 2, as an earlier k2lab wrote it."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.executescript((BEFORE / "run.sql").read_text(encoding="utf-8"))
    return path


def stored(folder, out="run.db"):
    with contextlib.suppress(InputError), store.reading(folder / out) as file:
        return list(file.results(file.run_of("arm")))
    return []  # no file yet, or no run in it


def table(folder):
    return [(r.data_index, r.trial, r.status, r.finish_reason, r.response, r.failure) for r in stored(folder)]


def tries(folder):
    with store.reading(folder / "run.db") as file:
        return file.attempts(file.run_of("arm"))
