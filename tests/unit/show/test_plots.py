"""Plots: what is drawn is what the table says; no series is told by colour alone; the same figures draw the same."""

import re
from functools import cache
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from k2lab.notebook.fetching import fetched
from k2lab.show import plots, style
from k2lab.stats import share

SVG = "{http://www.w3.org/2000/svg}"
SHARES = {"legacy": share(0, 60), "declared": share(45, 60), "current": share(58, 60)}
COUNTS = {"legacy": {"stop": 60}, "current": {"tool_calls": 41, "stop": 12, "length": 7}}
STEPS = {"before": share(20, 100), "one": share(70, 100), "two": share(60, 100)}
PAIRS = {"legacy": {"precision": share(9, 10), "recall": share(2, 10)}, "current": {"precision": share(1, 2)}}


@cache
def figures():
    return {
        "shares": plots.shares(SHARES),
        "finish reasons": plots.finish_reasons(COUNTS),
        "waterfall": plots.waterfall(STEPS),
        "pairs": plots.share_pairs(PAIRS),
        "curves": plots.share_curves([0, 1], {"a": [share(1, 2), share(1, 4)]}, xlabel="ids", ylabel="right"),
    }


def root(figure):
    return ElementTree.fromstring(figure.svg)


def texts(figure):
    return [element.text for element in root(figure).iter(f"{SVG}text")]


def ticks(figure):
    """Pixels of a number on the lower axis, from where its first and last ticks are written."""
    written = [
        (float(element.attrib["x"]), element.text)
        for element in root(figure).iter(f"{SVG}text")
        if re.fullmatch(r"[\d,]+( %)?", str(element.text)) and "middle" in element.attrib["style"]
    ]
    (first, low), (last, high) = written[0], written[-1]
    low, high = (float(text.replace(",", "").replace(" %", "")) / (100 if "%" in text else 1) for text in (low, high))
    return lambda x: low + (x - first) * (high - low) / (last - first)


def marks(figure):
    """What each mark says, and its extent in the axis' own numbers."""
    value = ticks(figure)
    for group in root(figure).iter(f"{SVG}g"):
        if group.get("class") == "k2-mark":
            numbers = [
                float(at) for path in group.iter(f"{SVG}path") for at in re.findall(r"[ML] ([\d.]+)", path.attrib["d"])
            ]
            placed = [float(use.attrib["x"]) for use in group.iter(f"{SVG}use")]
            along = [value(x) for x in placed or numbers]
            yield group.find(f"{SVG}title").text, min(along), max(along)


@pytest.mark.parametrize(("name", "expected"), [
    ("shares", [0, 45 / 60, 58 / 60]),
    ("finish reasons", [60, 41, 12, 7]),
    ("waterfall", [20, 20, 50, 60, 10]),
])  # fmt: skip
def test_the_bars_are_as_long_as_the_table_says(name, expected):
    figure = figures()[name]
    bars = [high - low for said, low, high in marks(figure) if not said.startswith("from")]
    assert sorted(bars) == pytest.approx(sorted(expected), rel=0.01, abs=0.002)


@pytest.mark.parametrize("name", ["shares", "pairs"])
def test_the_whiskers_are_the_intervals_of_the_table(name):
    figure = figures()[name]
    drawn = [(low, high) for said, low, high in marks(figure) if said.startswith("from")]
    told = [[float(part.rstrip("%")) / 100 for part in row["interval"].split(" to ")] for row in figure.rows]
    assert len(drawn) == len(told)
    for got, wanted in zip(drawn, told, strict=True):
        assert got == pytest.approx(wanted, abs=0.004)


def test_a_mark_stands_at_its_share():
    at = [low for said, low, _ in marks(figures()["pairs"]) if not said.startswith("from")]
    assert at == pytest.approx([0.9, 0.2, 0.5], abs=0.004)


@pytest.mark.parametrize("name", list(figures()))
def test_a_figure_says_what_it_shows_in_words_and_in_a_table(name):
    figure = figures()[name]
    head = root(figure).attrib
    assert head["role"] == "img" and head["aria-label"] == figure.alt and len(figure.alt) > 30
    assert "n = " in figure.caption and figure.caption.endswith(".")
    assert figure.html.count("<figcaption>") == 1 and figure.html.count("<tr>") == len(figure.rows) + 1
    assert repr(figure) == figure.text and len(figure.text.splitlines()) == len(figure.rows) + 2
    for row in figure.rows:
        assert any(str(row[""]) == text for text in texts(figure)), row


def test_every_label_is_text_that_can_be_selected():
    assert {"legacy", "declared", "current", "45 of 60", "share of the requests", "100 %"} <= set(
        texts(figures()["shares"])
    )
    assert {"tool calls", "stop", "length"} <= set(texts(figures()["finish reasons"]))


def test_a_drawing_fetches_nothing_and_its_colours_are_the_pages():
    for figure in figures().values():
        assert not fetched(f"<html>{figure._repr_html_()}{figure.standalone()}</html>")
        loose = set(re.findall(r"#[0-9a-f]{6}", re.sub(r"var\([^)]*\)", "", figure.svg)))
        assert not loose, "a colour that does not turn dark with the page"
        names = re.findall(r'\bid="([^"]+)"', figure.svg)
        assert len(names) == len(set(names))


def test_two_drawings_in_a_page_share_no_names():
    one, two = (set(re.findall(r'\bid="([^"]+)"', figures()[name].svg)) for name in ("shares", "finish reasons"))
    assert one and two and not one & two


def test_the_same_figures_draw_the_same_file():
    assert plots.finish_reasons(COUNTS) == plots.finish_reasons(COUNTS)


def test_a_number_that_is_none_is_drawn_as_none():
    figure = plots.shares({"a": share(0, 0)})
    assert "0 of 0" in texts(figure) and not list(marks(figure)) and figure.rows[0]["share"] == "none"
    assert plots.shares({}).rows == () and plots.stacked({"a": {}}).rows == ({"": "a"},)


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, two):
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_neighbours_differ_without_colour(theme):
    paper = style.PROPERTIES["k2-paper"][theme == "dark"]
    assert contrast(style.TEXT_COLOURS[theme == "dark"], paper) >= 7
    for one, two in pairwise(style.SERIES):
        assert contrast(getattr(one, theme), getattr(two, theme)) >= 1.9
    for one in style.SERIES:
        assert contrast(getattr(one, theme), paper) >= 3
    for part in ("hatch", "marker"):
        assert len({getattr(one, part) for one in style.SERIES}) == len(style.SERIES)


def test_twelve_series_have_twelve_looks():
    looks = style.looks(map(str, range(12))).values()
    assert len({(look.light, look.hatch) for look in looks}) == 12
