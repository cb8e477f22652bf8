"""A request shrunk offline: the same case in the end, its words neutral, the given one untouched, the budget kept."""

import json
import re
import subprocess
import sys

import pytest

from k2lab.chat import Request
from k2lab.errors import InputError
from k2lab.shrink import Offline, shrunk, write_case
from k2lab.shrink.neutral import Words, names_kept

SECRET = "Jane Doe of ACME"


def call(name, value, call_id):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps({"who": value})}}


def conversation(turns=13, foreign=7):
    messages = [{"role": "system", "content": f"You help {SECRET}."}]
    for turn in range(turns):
        call_id = "call_abc" if turn == foreign else f"functions.find_{turn}:{turn}"
        said = {"role": "assistant", "content": "", "tool_calls": [call(f"find_{turn}", SECRET, call_id)]}
        messages += [{"role": "user", "content": f"Find {turn} for {SECRET}"}, said]
        messages.append({"role": "tool", "tool_call_id": call_id, "content": f"found {SECRET}"})
    messages.append({"role": "user", "content": "Thank you"})
    tools = [
        {
            "type": "function",
            "function": {"name": f"find_{at}", "description": SECRET, "parameters": {"type": "object"}},
        }
        for at in range(turns)
    ]
    return Request.of(messages, tools, {"model": "secret-model", "user": "jane", "temperature": 0.5})


def test_forty_messages_and_a_dozen_tools_become_the_one_call_with_its_result():
    given = conversation()
    before = given.to_json()
    result = shrunk(given, Offline(), fault="R001")
    assert given.to_json() == before and (result.before.messages, result.before.tools) == (41, 13)
    assert [message["role"] for message in result.data["messages"]] == ["assistant", "tool", "user"]
    assert re.fullmatch("[A-Z][a-z]+ [a-z]+", result.data["messages"][2]["content"])  # it was "Thank you"
    assert "tools" not in result.data and "user" not in result.data and result.data["temperature"] == 0.5
    assert result.data["messages"][0]["tool_calls"][0]["id"] == "call_abc"
    assert "Jane" not in json.dumps(result.data) and result.neutral and not result.spent
    assert Offline().faults(result.data).keys() >= {"foreign_call_id"} and result.shows.count == 1


def test_the_gravest_fault_is_kept_by_default_and_what_does_not_show_is_refused():
    given = conversation(turns=2, foreign=1)
    assert shrunk(given, Offline()).fault == "foreign_call_id"
    with pytest.raises(InputError, match=r"call_without_result does not show here.*shown: .*R001 foreign_call_id"):
        shrunk(given, Offline(), fault="R006")
    with pytest.raises(InputError, match="no fault shows here"):
        shrunk(Request.of([{"role": "user", "content": "Hello"}]), Offline())


def test_an_answers_fault_keeps_the_tool_that_it_needs():
    tools = conversation(turns=5).tools
    message = {"tool_calls": [call("find_3", "x", "functions.find_3:0")]}
    answer = {"choices": [{"finish_reason": "tool_calls", "message": message}]}
    bad = [
        {**tool, "function": {**tool["function"], "parameters": {"type": "object", "required": ["what"]}}}
        for tool in tools
    ]
    asked = Request.of([{"role": "user", "content": f"Find {SECRET}"}], bad)
    result = shrunk(asked, Offline(answer=answer), fault="schema_violation")
    assert [tool["function"]["name"] for tool in result.data["tools"]] == ["find_3"]


def test_a_spent_budget_gives_the_best_so_far_and_says_so():
    result = shrunk(conversation(), Offline(most=16), fault="R001")
    assert result.spent and result.asked <= 16 and result.after.messages <= result.before.messages


def test_what_is_written_holds_neither_words_nor_model_and_the_test_fails_while_the_fault_is_there(tmp_path):
    paths = write_case(shrunk(conversation(), Offline(), fault="R001"), tmp_path / "case", live=False)
    assert sorted(paths) == ["issue.md", "request.json", "test_case.py"]
    for path in paths.values():
        assert not {"Jane", "ACME", "secret-model"} & set(path.read_text().replace('"', " ").split())
        assert path.stat().st_mode & 0o077 == 0
    ran = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(paths["test_case.py"])]
    assert subprocess.run(ran, capture_output=True, text=True, cwd=tmp_path).returncode == 1


def test_words_are_neutral_alike_and_names_of_tools_and_markers_stay():
    kept = names_kept(conversation(turns=1).to_json())
    made = Words(kept).text("Find_0 Ann <|im_end|> ANN anns 2026 straße")
    assert made == "Find_1 Alpha <|im_end|> ALPHA bravo 1000 charlie"


def test_the_command_says_what_is_left_and_writes_it(k2lab, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(conversation().to_json()))
    ran = k2lab("shrink", tmp_path / "c.json", "--code", "foreign-call-id", "-o", tmp_path / "case")
    assert ran.returncode == 0 and "before: 41 messages, 13 tools" in ran.stdout
    assert "after:  3 messages, 0 tools" in ran.stdout and (tmp_path / "case" / "issue.md").exists()
    (tmp_path / "bad.json").write_text("{")
    ran = k2lab("shrink", tmp_path / "bad.json", "-o", tmp_path / "none")
    assert ran.returncode == 1 and len(ran.stderr.strip().splitlines()) == 1 and not (tmp_path / "none").exists()
