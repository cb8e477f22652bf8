import json

import pytest

from k2lab.audit import processpool
from k2lab.audit.auditrun import run_audit
from k2lab.show.audits import audit_view
from k2lab.show.parts import whole_page
from tests.helpers.hostile import TEXTS, skeleton
from tests.unit.audit.made import line, write
from tests.unit.audit.test_forms import in_this_process


@pytest.fixture(autouse=True)
def without_processes(monkeypatch):
    monkeypatch.setattr(processpool, "run_locally", in_this_process)


def page(folder, text):
    """The page of an audit in which ``text`` stands wherever a record can have one."""
    value = line(1, "A005")
    value["request"]["model"] = value["provider"] = text
    if "<|" not in text:  # which is a finding of its own there
        value["request"]["tools"][0]["function"]["description"] = text
    broken = json.loads(json.dumps(value))
    broken["response"]["choices"][0]["message"]["tool_calls"][0]["function"]["name"] = f"a{text}"
    broken["response"]["choices"][0]["finish_reason"] = f"a{text}"
    odd = {"custom": text, f"a{text}": 1}
    write(folder / "in.jsonl", [value, broken, odd])
    summary = run_audit([str(folder / "in.jsonl")], folder / "out")
    half_a_pair = "\ud800" in text  # no text that a server takes: such a line is not looked at
    assert (summary.looked, summary.unknown) == ((0, 3) if half_a_pair else (2, 1))
    return whole_page("k2lab audit", audit_view(summary)), audit_view(summary).text


@pytest.mark.parametrize("name", TEXTS)
def test_whatever_a_record_holds_the_report_is_made_of_the_same_elements(name, tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "hostile").mkdir()
    plain, _ = page(tmp_path / "plain", "harmless")
    made, text = page(tmp_path / "hostile", TEXTS[name])
    if name != "surrogate":
        assert skeleton(made) == skeleton(plain)
    assert {tag for tag, *_ in skeleton(made)[0]} <= {tag for tag, *_ in skeleton(plain)[0]}
    assert len(made) < 300_000 and len(text) < 60_000
    assert not any(char in text for char in "\x1b\x07\x00\u202e\r")
