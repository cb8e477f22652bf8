"""Whatever a server, a model, a template or a name says is text where it is shown: in views, plots and reports."""

import re
from collections import Counter
from functools import cache

import nbformat
import pytest

from k2lab import repairs, wire
from k2lab.bench.metrics import Comparison, Flip
from k2lab.bench.timing import Percentiles, Timed
from k2lab.chat import Answer, Exchange, Request
from k2lab.findings import Finding
from k2lab.legible import HIDDEN
from k2lab.nano import folders
from k2lab.notebook import page
from k2lab.notebook.fetching import fetched
from k2lab.prompt.alignment import diff
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from k2lab.repairs import Change
from k2lab.server.parsers import Reading
from k2lab.server.probes import GridCell, LiteralCell
from k2lab.show import displays, plots, views
from k2lab.stats import McNemar, share
from tests.helpers.effort import within
from tests.helpers.hostile import TEXTS, skeleton

PLAIN = "a word"
each_kind = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind == "long" else kind for kind in TEXTS]
)
TEST = McNemar(gained=1, lost=0, p_value=1.0)


def call(text):
    return {"id": text, "type": "function", "function": {"name": text, "arguments": text}}


def request(text):
    tools = [{"type": "function", "function": {"name": text, "description": text, "parameters": {"type": "object"}}}]
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": text, "tool_calls": [call(text)]}]
    return Request(
        messages=tuple(messages), tools=tuple(tools), parameters={"model": text, "stop": [text], "user": text}
    )


def answer(text):
    message = {"content": text, "reasoning_content": text, "tool_calls": [call(text)]}
    return Answer.of({"choices": [{"finish_reason": text, "message": message}], "usage": {"completion_tokens": 1}})


def finding(text):
    return Finding.of("content_printed_as_list", "present", text, place=text)


def compared(text):
    flips = (Flip(data_index=1, before=text, after=text),)
    return Comparison(first=share(1, 2), second=share(2, 2), test=TEST, arms=(text, f"{text}2"), flips=flips)


def written(text):
    """A text that has bytes, as a kernel sends it and a tokenizer wants it."""
    return text.encode("utf-8", "backslashreplace").decode()


@cache
def source():
    return open_source(str(folders.assemble("current")))


def prompt(text):
    return render(source(), Request.of([{"role": "user", "content": written(text[:5000])}]))


@cache
def differing():
    return diff((1, 2), prompt(PLAIN))


VIEWS = {
    "finding": lambda text: views.finding_list([finding(text)] * 2),
    "comparison": lambda text: views.comparison(compared(text)),
    "steps": lambda text: views.step_table({text: compared(text)}),
    "facts": lambda text: views.facts({text: text, "a path": [text]}),
    "shares": lambda text: views.shares({text: share(1, 2)}),
    "curves": lambda text: views.share_table({text: [share(1, 2)]}, text),
    "flips": lambda text: views.flip_counts({text: TEST}),
    "text": lambda text: views.text(text, text),
    "line": views.line,
    "note": lambda text: views.note(" ".join(text.split())),
    "readings": lambda text: views.parser_matrix(
        [Reading(case_id=text, column=text, outcome="not asked", detail=" ".join(text.split()))]
    ),
    "grid": lambda text: views.grid(
        [GridCell(engine=text, in_signature=False, in_template=True, finding=finding(text))]
    ),
    "literals": lambda text: views.literal_grid(
        [LiteralCell(server=text, template=text, request=text, empty=1, other=2)]
    ),
    "prompt": lambda text: views.prompt_text(prompt(text), text),
    "token ids": lambda text: views.side_by_side(differing(), None, text, text),
}


@each_kind
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_the_elements_of_a_plain_one_and_nothing_hidden(name, kind):
    with within(5.0):
        made = VIEWS[name](TEXTS[kind])
    assert skeleton(made.html) == skeleton(VIEWS[name](PLAIN).html)
    for text in (made.html, made.text, repr(made)):
        assert not HIDDEN.search(text)
        text.encode()
    assert len(made.text) < 5_000_000


RAW = (
    "<think>{0}</think>{0}<|tool_calls_section_begin|>{0}<|tool_call_begin|>{0}<|tool_call_argument_begin|>{0}"
    '<|tool_call_end|><|tool_call_begin|>f:0<|tool_call_argument_begin|>{{"a": "{0}"}}<|tool_call_end|>{0}'
)
GROWING = {
    "exchange": lambda text: views.exchange(Exchange(request=request(text), answer=answer(text))),
    "answer": lambda text: views.answer(answer(text), text),
    "request": lambda text: views.request(request(text), text),
    "strip": lambda text: views.prompt_strip(prompt(text), text),
    "output": lambda text: views.output(wire.parse(RAW.format(text))),
    "changes": lambda text: views.changes(
        [Change(message=0, field=text, before=f"{text}?", after=f"{text}!", reason=text, finding=text)]
    ),
    "ids": lambda text: views.token_strip(prompt(text).token_ids, source().tokenizer, text),
}
"""Views that have more elements the more there is to show."""

OURS = re.compile(r"(class|open|scope|colspan|id|href|tabindex|role|aria-label)=(#?[\w -]*|None)")


@cache
def benign(name):
    """The elements that a view has for plain words, few and many."""
    return {tag[0] for text in (PLAIN, f"{PLAIN}\n" * 900) for tag in skeleton(GROWING[name](text).html)[0]}


@each_kind
@pytest.mark.parametrize("name", GROWING)
def test_a_view_that_grows_has_no_other_elements_than_ours_and_nothing_hidden(name, kind):
    with within(5.0):
        made = GROWING[name](TEXTS[kind])
    tags, other = skeleton(made.html)
    assert not other and {tag[0] for tag in tags} <= benign(name)
    assert all(OURS.fullmatch(attribute) for tag in tags for attribute in tag[1:])
    for text in (made.html, made.text):
        assert not HIDDEN.search(text) and len(text) < 5_000_000
        text.encode()


@pytest.mark.parametrize("kind", TEXTS)
def test_a_record_that_cannot_be_shown_is_shown_as_it_is_written(kind):
    repaired = repairs.repair(request(TEXTS[kind][:5000]))
    assert "onerror" not in "".join(map(str, skeleton(displays.view(repaired).html)))


HALF = share(1, 2)
TIMED = Timed(first=None, per_token=None, whole=Percentiles.of([1.0, 2.0]), valid=HALF)
PLOTS = {
    "shares": lambda texts: plots.shares(dict.fromkeys(texts, HALF), xlabel=texts[0]),
    "stacked": lambda texts: plots.stacked({text: dict.fromkeys(texts, 1) for text in texts[:2]}, xlabel=texts[1]),
    "waterfall": lambda texts: plots.waterfall(dict.fromkeys(texts, HALF), xlabel=texts[2]),
    "pairs": lambda texts: plots.share_pairs({texts[3]: dict.fromkeys(texts, HALF)}, xlabel=texts[4]),
    "curves": lambda texts: plots.share_curves([1], {text: [HALF] for text in texts}, xlabel=texts[5], ylabel=texts[6]),
    "before and after": lambda texts: plots.before_after(
        {text: {text: plots.Successes(count=1, requests=2, wanted=2)} for text in texts}, note=texts[7]
    ),
    "flips": lambda texts: plots.flips({text: compared(text) for text in texts}, what=texts[8]),
    "latency": lambda texts: plots.latency(dict.fromkeys(texts, TIMED), more=texts[9]),
}


@pytest.mark.long
@pytest.mark.parametrize("name", PLOTS)
def test_a_plots_labels_are_text_and_are_all_there(name):
    made = PLOTS[name]([*TEXTS.values(), "_b"])
    plain = PLOTS[name]([f"{PLAIN} {number}" for number in range(len(TEXTS) + 1)])
    found, expected = (Counter(tag[0] for tag in skeleton(one.html)[0]) for one in (made, plain))
    assert found == expected
    assert {name for tag in skeleton(made.html)[0] for name in tag[1:] if name.startswith("on")} == set()
    for text in (made.html, made.text, made.standalone()):
        assert not HIDDEN.search(text) and len(text) < 2_000_000
        text.encode()


def cell(text):
    said, shown = written(text[:20_000]), views.facts({text[:20_000]: text[:20_000]})
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=said),
        nbformat.v4.new_output("error", ename=said, evalue=said, traceback=[said]),
        nbformat.v4.new_output("display_data", data={"text/plain": said}),
        nbformat.v4.new_output("display_data", data={"text/html": shown.html}),
    ]
    return nbformat.v4.new_code_cell(said, outputs=outputs)


def of_said(texts, name):
    return page.to_html(nbformat.v4.new_notebook(cells=[cell(text) for text in texts]), name, name)


def elements(html):
    """How often each element with its attributes stands there; colours of a terminal are the text's own."""
    return Counter(tag for tag in skeleton(html)[0] if not str(tag).startswith("('span'"))


def test_a_report_runs_nothing_and_fetches_nothing_of_what_was_said():
    named = " ".join(text[:300] for text in TEXTS.values())
    made, plain = of_said(TEXTS.values(), named), of_said([PLAIN] * len(TEXTS), PLAIN)
    assert not fetched(made) and "default-src 'none'" in made and not HIDDEN.search(made)
    assert elements(made) == elements(plain)
    assert not [one for one in skeleton(made)[1] if "alert" in one]
    failed, known = page.without_outputs(named, named), page.without_outputs(PLAIN, PLAIN)
    assert "alert" in failed and elements(failed) == elements(known)
