"""The one look: what the sheet's colours promise, and that every view carries it."""

import re

import pytest

from k2lab.show import parts, views

COLOUR = re.compile(r"(--k2-[\w-]+): light-dark\((#\w{6}), (#\w{6})\);")
COLOURS = {name: pair for name, *pair in COLOUR.findall(parts.sheet())}
READ_ON = {"left": "left-bg", "right": "right-bg", "good": "good-bg", "bad": "bad-bg", "warn": "warn-bg"}
ON_PAPER = ("fg", "quiet", "accent", *READ_ON)
PAIRS = [
    *((word, paper) for word in ON_PAPER for paper in ("bg", "soft")),
    *READ_ON.items(),
    *(("fg", paper) for paper in READ_ON.values()),
    *(("quiet", paper) for paper in READ_ON.values()),
    ("chip-fg", "chip-bg"),
]


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("word", "paper"), PAIRS)
def test_words_stand_out_from_their_paper(word, paper, scheme):
    high, low = sorted((luminance(COLOURS[f"--k2-{name}"][scheme]) for name in (word, paper)), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_every_colour_of_the_sheet_is_one_of_the_scheme_and_no_text_is_tiny():
    sheet = parts.sheet()
    assert not re.search(r"#[0-9a-f]{3,8}|rgba?\(", COLOUR.sub("", sheet))
    assert set(re.findall(r"var\((--k2-[\w-]+)\)", sheet)) <= set(COLOURS)
    sizes = re.findall(r"font(?:-size)?: (?:\d00 )?([\d.]+)(\w+)", sheet)
    assert sizes and all(unit == "px" and float(size) >= 12 for size, unit in sizes)


def test_a_view_carries_the_sheet_and_a_table_its_head():
    shown = views.table([{"": 1, "a <b>": 2}], "named")._repr_html_()
    assert shown.startswith("<style>.k2, .k2-page {") and len(parts.sheet()) < 8000
    assert '<th scope="col">a &lt;b&gt;</th></tr></thead><tbody><tr><td>1</td>' in shown
