"""The engine's parser over tokenizer files of a stranger: what takes too much ends in one line."""

import json

import pytest

from k2lab.errors import EngineError
from k2lab.server import parsers
from k2lab.server.keptparsers import KeptParser
from tests.helpers.models import copied

pytestmark = pytest.mark.long

FAILURE = next(one for one in parsers.catalogue() if one.case_id == "documented form")


def growing(tmp_path, factors):
    """A folder whose normalizer makes many letters of one ``a``."""
    folder = copied("current", tmp_path / "model")
    made = json.loads((folder / "tokenizer.json").read_text())
    steps = [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * factor} for factor in factors]
    made["normalizer"] = {"type": "Sequence", "normalizers": steps}
    (folder / "tokenizer.json").write_text(json.dumps(made))
    return folder


@pytest.mark.parametrize(
    ("factors", "took"), [([1000, 1000, 1000], "0.25 GiB of memory"), ([300, 100], "2 s of processor time")]
)
def test_a_tokenizer_that_takes_too_much_is_one_line_for_both_callers(tmp_path, monkeypatch, factors, took):
    monkeypatch.setattr(parsers, "CPU_S", 30 if "memory" in took else 2)
    monkeypatch.setattr(parsers, "MEMORY", 256 << 20 if "memory" in took else 2 << 30)
    folder = growing(tmp_path, factors)
    answers = parsers.ask_engine("0.32.0", [FAILURE], folder)
    said = f"its tokenizer and parser took more than {took} for one output: try a shorter output, or a folder whose"
    assert len(answers) == 3 and all(one.outcome == "not asked" for one in answers)
    assert all(one.detail.startswith(said) and "\n" not in one.detail for one in answers)
    parser = KeptParser("0.32.0", folder)
    try:
        with pytest.raises(EngineError, match=f"gave no answer: {said}") as caught:
            parser.ask(FAILURE.raw_output, FAILURE.tools, 1)
        assert "\n" not in str(caught.value)
        assert parser.ask("b", (), 1).content == "b"  # by a process that is begun anew
    finally:
        parser.close()
