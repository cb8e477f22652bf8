"""What a benchmark notebook asks, and against what it holds the answers."""

import json

import pytest

from k2lab.errors import InputError
from k2lab.notebook.questions import Questions


def test_k2_nanos_own_set_has_labels_and_says_what_the_right_answers_are(tmp_path):
    asked = Questions.of("4_benchmark", out=str(tmp_path), requests=30)
    assert asked.samples.count == asked.limit == len(asked.reference) == sum(asked.kinds.values()) == 30
    assert asked.answers == tmp_path / "4_benchmark.db" and {"call", "undeclared"} <= set(asked.kinds)


def test_a_readers_samples_have_no_labels_but_those_that_are_given(tmp_path):
    own = Questions.of("own", out=str(tmp_path), requests=5)
    given = {"out": str(tmp_path), "requests": 3, "samples_file": str(own.samples.path)}
    assert Questions.of("4_benchmark", **given).reference is None
    held = Questions.of("4_benchmark", **given, reference_file=str(tmp_path / "labels.jsonl"))
    assert held.reference == own.reference and not held.kinds and held.limit == 3


def test_two_notebooks_with_one_folder_keep_their_answers_apart(tmp_path):
    first, second = (Questions.of(name, out=str(tmp_path), requests=1) for name in ("4_benchmark", "5_enforcer"))
    assert first.answers != second.answers


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "samples.jsonl").write_text(json.dumps({"no": "messages"}))
    with pytest.raises(InputError, match="line 1 is not a chat request"):
        Questions.of("own", out=str(tmp_path), requests=1, samples_file=str(tmp_path / "samples.jsonl"))
