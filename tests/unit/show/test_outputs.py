"""A raw output with its pieces over the text, each call joined to its row and back; spans are the reader's own."""

import html
import re

import pytest

from k2lab import wire
from k2lab.show import views
from tests.helpers.effort import within

BEGIN, END, OPEN, ARGUMENTS, CLOSE = (
    wire.SECTION_BEGIN,
    wire.SECTION_END,
    wire.CALL_BEGIN,
    wire.ARGUMENT_BEGIN,
    wire.CALL_END,
)
RAW = (
    f'<think>Which?</think>I look.{BEGIN}{OPEN} f:0 {ARGUMENTS}{{"a": "f:0"}}{CLOSE}lost{OPEN}functions.g:1'
    f"{ARGUMENTS}{{}}{CLOSE}{OPEN}functions.h:2{ARGUMENTS}{{"
)


def plain(page):
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def test_each_piece_has_its_name_and_the_whole_text_is_there():
    made = views.output(wire.parse(RAW))
    body = made.html.partition("<table")[0]
    assert plain(re.sub(r"<(i|a)\b[^>]*>[^<]*</\1>", "", body)) == RAW
    for said in ("[content] I look.", "[id] f:0", '[arguments] {"a": "f:0"}', "[stray] lost", "[call 2 ✗]"):
        assert said in made.text
    for css, said in (("id", "f:0"), ("arguments", "{&quot;a&quot;: &quot;f:0&quot;}"), ("arguments", "{}")):
        assert f'<span class="k2-is-{css}"><i>{css}</i>{said}</span>' in made.html
    assert '<span class="k2-is-stray"><span><i>stray</i>lost</span></span>' in made.html


def test_a_call_leads_to_its_row_and_back():
    page = views.output(wire.parse(RAW)).html
    anchors, links = set(re.findall(r'id="(\S+)"', page)), re.findall(r'href="#(\S+)"', page)
    assert len(anchors) == 6 and sorted(anchors) == sorted(links)


@pytest.mark.parametrize("raw", [RAW, 'Well. functions.f:3 {"a": 1}', f"{OPEN} what is this", f"{ARGUMENTS}{{}} x"])
def test_spans_are_where_the_reader_found_them(raw):
    parsed = wire.parse(raw)
    assert parsed.calls and "".join(parsed.texts) == raw
    for call in parsed.calls:
        for span, said in ((call.id_span, call.id), (call.arguments_span, call.arguments_raw.strip())):
            assert (call.raw[slice(*span)] if span else "") == said


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("x" * 1_000_000, "… 980024 characters …"),
        (f"{OPEN}f:0{ARGUMENTS}{{}}{CLOSE}" * 15_000, "⋮ 14600 calls in the middle are left out"),
        (f"a{END}" * 30_000, "pieces are left out"),
    ],
    ids=["one piece", "calls", "strays"],
)
def test_a_long_output_stays_bounded(raw, said):
    parsed = wire.parse(raw)
    with within(5.0):
        made = views.output(parsed)
    assert said in made.text and said in made.html
    assert len(made.html) < 2_000_000 and len(made.text) < 2_000_000
