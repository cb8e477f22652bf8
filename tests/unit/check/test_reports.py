"""What users reported, as they have it in hand: each file of the shared collection, and what is right to say of it."""

import pytest

from k2lab import chat
from k2lab.check import Look, look_at
from tests.conftest import SHARED

REPORTS = SHARED / "reports"

RIGHT = {
    "04-call-inside-think/raw.txt": {"O005"},
    "09-im-end-at-end/raw.txt": set(),
    "11-stripped-markers/raw.txt": {"O006"},
    "14-text-index/raw.txt": {"O002"},
    "16-begin-marker-as-text/raw.txt": {"O003"},
    "21-control-characters/raw.txt": {"O008"},
    "22-missing-quote/raw.txt": {"A003"},
    "27-malformed-json-trailing-brace/raw.txt": {"A003"},
    "32-call-without-result/C.json": {"R001", "R006"},
    "37-markers-in-assistant-content/C.json": {"R020"},
    "39-reasoning-missing/C.json": {"R021"},
    "43-typescript-tools/C.json": set(),
    "44-tool-keys-sorted/C.json": set(),
    "44-tool-keys-sorted/D.json": set(),
    "68b-html-with-max-string-128/ok0.txt": set(),
    "68b-html-with-max-string-128/ok1.txt": set(),
    "69-html-unbounded/ok0.txt": set(),
    "69-html-unbounded/ok1.txt": set(),
    "71-many-tools/T.json": set(),
    "76-mfjs-lint/T.json": {"T001", "T002"},
    "77-min-length-1/bad0.txt": {"A005"},
    "77-min-length-1/ok0.txt": set(),
    "77-min-length-1/ok1.txt": set(),
    "81-empty-answers/results.jsonl": {"A111", "A112"},
    "82-leaked-section-in-content/results.jsonl": {"A113", "A114"},
    "83-tool-choice-none/results.jsonl": {"A121"},
    "85-tool-choice-named/results.jsonl": {"A003", "A124"},
    "93-sse-capture/capture.txt": {"A103", "S002"},
    "97-raw-completions/results.jsonl": set(),
}
MODELS = {"39-reasoning-missing/C.json": "kimi-k2.5", "43-typescript-tools/C.json": "kimi-k2.5"}
EVIDENCE = {
    "16-begin-marker-as-text/raw.txt": "bash",
    "21-control-characters/raw.txt": "control character",
    "22-missing-quote/raw.txt": "line 1, column 52",
    "27-malformed-json-trailing-brace/raw.txt": "line 1, column 18",
    "32-call-without-result/C.json": "no result answers this call of Read",
    "76-mfjs-lint/T.json": "create_attachment: type stands beside anyOf",
}


def looked(name):
    path = REPORTS / name
    if not path.exists():
        pytest.skip("the reports of users lie beside the repository, and are not there")
    tools = path.with_name("T.json")
    offered = chat.load_tools(tools) if tools.exists() and path != tools else None
    thinking = True if name.startswith("09") else None
    return look_at(str(path), Look(model=MODELS.get(name), tools=offered, thinking=thinking))


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_said(name):
    made = looked(name)
    assert made.unread == ()
    assert {one.finding.code for one in made.present} == RIGHT[name]
    assert EVIDENCE.get(name, "") in " ".join(one.finding.evidence for one in made.present)


def test_k3s_form_is_read_and_nothing_found_in_what_is_right():
    made = looked("23-k3-xtml/raw.txt")
    assert (made.status, made.unread, made.found) == (0, (), ())


def test_a_catalogue_of_ones_own_is_read_and_a_broken_one_is_one_line():
    assert looked("96-own-catalogue/mine.jsonl").taken_for == "8 raw outputs, by line"
    broken = looked("96-own-catalogue/broken.jsonl")
    assert broken.status == 2 and len(broken.unread) == 1
