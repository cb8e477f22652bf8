"""Which release first reads an output: what is asked, what is expected, and how the answer is said."""

import json

import pytest

from k2lab.chat import ToolCall
from k2lab.doctor import bisection as module
from k2lab.doctor.bisection import Bisection, output_of
from k2lab.doctor.sweeping import Cell
from k2lab.errors import InputError
from k2lab.show import sweeps

RAW = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0<|tool_call_argument_begin|>"
    '{"q": "x"}<|tool_call_end|><|tool_calls_section_end|>'
)
LINE = {"id": "mine", "raw_output": RAW, "tools": [], "expected": {"calls": [], "content": "Hi"}}
WORDS = {"right": "absent", "unknown": "unknown"}


def bisection(**words):
    output = module.parsers.failure_of(json.dumps(LINE).encode())
    cells = [
        Cell(fault="mine", release=f"0.{name[1:].replace('_', '.')}", state=WORDS.get(word, "present"), word=word)
        for name, word in words.items()
    ]
    return Bisection(output=output, cells=tuple(cells))


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ({"v11_0": "right", "v13_0": "right"}, "every release that was asked reads it"),
        ({"v11_0": "lost", "v13_0": "leaked"}, "no release that was asked reads it"),
        ({"v11_0": "lost", "v11_1": "right"}, "0.11.1 reads it, 0.11.0 does not (lost)"),
        ({"v11_0": "right", "v11_1": "lost"}, "0.11.1 does not read it (lost), 0.11.0 does"),
        (
            {"v11_0": "lost", "v11_1": "right", "v13_0": "unknown", "v19_1": "lost at 7 tokens"},
            "0.11.1 reads it, 0.11.0 does not (lost); 0.19.1 does not read it (lost at 7 tokens), 0.11.1 does",
        ),
        ({"v11_0": "lost", "v11_1": "leaked", "v13_0": "right"},
         "0.11.1 has it leaked, 0.11.0 lost; 0.13.0 reads it, 0.11.1 does not (leaked)"),
        ({"v11_0": "right", "v13_0": "unknown"}, "every release that was asked reads it"),
    ],
)  # fmt: skip
def test_the_verdict_names_each_change_in_order(words, verdict):
    assert bisection(**words).verdict == verdict


def test_the_view_names_what_would_say_it_more_closely():
    shown = sweeps.bisection_view(bisection(v11_0="lost", v13_0="right")).text
    assert shown.startswith("0.13.0 reads it, 0.11.0 does not (lost)")
    assert "between 0.11.0 and 0.13.0 more can be asked: k2lab engine install 0.11.1" in shown
    assert "0.11.2, 0.12.0, for which k2lab has no lock" in shown
    assert "more can be asked" not in sweeps.bisection_view(bisection(v11_0="lost", v11_1="right")).text


def test_a_raw_output_is_expected_as_given_or_as_wire_reads_it(tmp_path):
    raw, calls, tools = tmp_path / "raw.txt", tmp_path / "calls.json", tmp_path / "tools.json"
    raw.write_text(f"Hi{RAW}")
    output = output_of(raw)
    assert (output.calls, output.content) == ((ToolCall(name="search", arguments={"q": "x"}),), "Hi")
    calls.write_text('[{"name": "find", "arguments": {}}]')
    tools.write_text('[{"type": "function", "function": {"name": "find"}}]')
    output = output_of(raw, tools, calls)
    assert (output.calls, output.content) == ((ToolCall(name="find", arguments={}),), "Hi")
    assert [tool["function"]["name"] for tool in output.tools] == ["find"]
    calls.write_text('{"calls": [], "content": null}')
    assert (output_of(raw, None, calls).calls, output_of(raw, None, calls).content) == ((), None)


def test_a_catalogue_of_one_line_or_one_line_of_a_catalogue(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps(LINE))
    assert output_of(path).case_id == "mine"
    path.write_text("\n".join(json.dumps(LINE | {"id": name}) for name in ("mine", "yours")))
    assert output_of(path, case="yours").case_id == "yours"


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ('{"choices": []}', {}, "holds no raw output but"),
        (
            json.dumps(LINE),
            {"expect": '[{"name": "f", "arguments": {}}]'},
            "is a catalogue, whose lines say themselves",
        ),
        (json.dumps(LINE), {"case": "other"}, "has no case 'other'; it has 'mine'"),
        (f"{json.dumps(LINE)}\n{json.dumps(LINE | {'id': 'b'})}", {}, "has 2 lines: name one with --case"),
        (RAW, {"expect": "[3]"}, "is not as expected: expected.calls has an entry without name"),
        (RAW, {"expect": "7"}, "is not as expected: expected.calls is to be a list"),
    ],
)
def test_files_that_are_neither_are_refused_in_one_line(tmp_path, text, options, said):
    (tmp_path / "file").write_text(text)
    if "expect" in options:
        (tmp_path / "expect.json").write_text(options["expect"])
        options = {"expect": tmp_path / "expect.json"}
    with pytest.raises(InputError, match=said) as caught:
        output_of(tmp_path / "file", **options)
    assert "\n" not in str(caught.value)


def test_the_command_says_it_as_text_and_as_json(k2lab, tmp_path, monkeypatch):
    cells = bisection(v11_0="lost", v11_1="right").cells
    monkeypatch.setattr(module, "sweep_outputs", lambda outputs, names: list(cells))
    (tmp_path / "raw.txt").write_text(RAW)
    done = k2lab("bisect", tmp_path / "raw.txt")
    assert done.returncode == 0 and done.stdout.startswith("0.11.1 reads it, 0.11.0 does not (lost)")
    told = json.loads(k2lab("bisect", tmp_path / "raw.txt", "--json").stdout)
    assert told["verdict"] == bisection(v11_0="lost", v11_1="right").verdict
    assert told["expected"] == {"calls": [["search", {"q": "x"}]], "content": None}
    refused = k2lab("bisect", tmp_path / "nowhere")
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
