"""Plots: what is drawn is what the table says; no series is told by colour alone; the same figures draw the same."""

import re
from functools import cache
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from k2lab.bench.metrics import Comparison
from k2lab.bench.timing import Percentiles, Timed
from k2lab.notebook.fetching import fetched
from k2lab.notebook.inert import made_inert
from k2lab.show import plots, style
from k2lab.show.parts import sheet
from k2lab.stats import mcnemar, share

pytestmark = pytest.mark.xdist_group("plots")  # drawn once
SVG = "{http://www.w3.org/2000/svg}"
SHARES = {"legacy": share(0, 60), "declared": share(45, 60), "current": share(58, 60)}
COUNTS = {"legacy": {"stop": 60}, "current": {"tool_calls": 41, "stop": 12, "length": 7}}
STEPS = {"before": share(20, 100), "one": share(70, 100), "two": share(60, 100)}
PAIRS = {"legacy": {"precision": share(9, 10), "recall": share(2, 10)}, "current": {"precision": share(1, 2)}}
RUNS = {
    "published": {"before": plots.Successes(count=20, requests=100, wanted=40, at_least=True)},
    "here": {
        "after": plots.Successes(count=70, requests=100, wanted=80),
        "alone": plots.Successes(count=5, requests=10),
    },
}
FLIPS = {
    name: Comparison(first=share(1, 50), second=share(2, 50), test=mcnemar(gained=gained, lost=lost), flips=())
    for name, gained, lost in (("a → b", 20, 0), ("b → c", 5, 15))
}
TIMES = {
    "all at once": Timed(first=None, per_token=None, whole=Percentiles.of([100.0, 300.0]), valid=share(9, 10)),
    "streamed": Timed(
        first=Percentiles.of([10.0, 30.0]),
        per_token=Percentiles.of([2.0, 5.0]),
        whole=Percentiles.of([200.0, 900.0]),
        valid=share(10, 10),
    ),
}


DRAWN = {
    "shares": lambda: plots.shares(SHARES),
    "finish reasons": lambda: plots.finish_reasons(COUNTS),
    "waterfall": lambda: plots.waterfall(STEPS),
    "pairs": lambda: plots.share_pairs(PAIRS),
    "curves": lambda: plots.share_curves([0, 1], {"a": [share(1, 2), share(1, 4)]}, xlabel="ids", ylabel="right"),
    "before and after": lambda: plots.before_after(RUNS, note="A note"),
    "flips": lambda: plots.flips(FLIPS),
    "latency": lambda: plots.latency(TIMES),
}


@cache
def figures():
    return {name: draw() for name, draw in DRAWN.items()}


def root(figure):
    return ElementTree.fromstring(figure.svg)


def texts(figure):
    return [element.text for element in root(figure).iter(f"{SVG}text")]


def ticks(figure):
    """Pixels as numbers of the lower axis, from where its 0 and its last tick are written."""
    written = [
        (float(element.attrib["x"]), str(element.text))
        for element in root(figure).iter(f"{SVG}text")
        if re.fullmatch(r"[\d,]+( %)?", str(element.text)) and "middle" in element.attrib["style"]
    ]
    zero = next(x for x, text in written if text.removesuffix(" %") == "0")
    last, text = written[-1]
    most = float(text.replace(",", "").removesuffix(" %")) / (100 if "%" in text else 1)
    return lambda x: (x - zero) * most / (last - zero)


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
    ("flips", [20, 5, 15]),
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


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_says_what_it_shows_in_words_and_in_a_table(name):
    figure = figures()[name]
    head = root(figure).attrib
    assert head["role"] == "img" and head["aria-label"] == figure.alt and len(figure.alt) > 30
    assert "n = " in figure.caption and figure.caption.endswith(".")
    assert figure.html.count("<figcaption>") == 1 and figure.html.count("<tr>") == len(figure.rows) + 1
    assert repr(figure) == figure.text and len(figure.text.splitlines()) == len(figure.rows) + 2
    assert {row[""] for row in figure.rows} <= set(texts(figure))


def test_published_and_measured_stand_on_axes_of_the_same_length():
    figure = figures()["before and after"]
    bars = {}
    for group in root(figure).iter(f"{SVG}g"):
        said = group.find(f"{SVG}title").text if group.get("class") == "k2-mark" else ""
        if " of " in said:
            paths = " ".join(path.attrib["d"] for path in group.iter(f"{SVG}path"))
            xs = [float(x) for x in re.findall(r"[ML] ([\d.]+)", paths)]
            bars[said.split(" = ")[0]] = max(xs) - min(xs)
    assert bars.keys() == {"20 of 100", "20 of 40", "70 of 100", "70 of 80", "5 of 10"}
    scale = [width * int(said.split()[2]) / int(said.split()[0]) for said, width in bars.items()]
    assert max(scale) - min(scale) < 0.5
    assert {"20 of 40+", "70 of 80", "not known", "published", "here"} <= set(texts(figure))
    assert "A note." in figure.caption and "published: n = 100 requests; here: n = 10 to 100" in figure.caption


def test_a_time_that_was_not_measured_is_said_to_be_none():
    said = texts(figures()["latency"])
    assert said.count("not streamed") == 2 and {"time to first token (ms)", "end to end (ms)", "p50", "p99"} <= set(
        said
    )
    whole = plots.latency({"all at once": TIMES["all at once"]})
    assert "time to first token (ms)" not in texts(whole) and whole.rows[0]["time to first token, n"] == 0


def test_percentiles_stand_in_order_from_the_left_of_their_panel():
    found = []
    for group in root(figures()["latency"]).iter(f"{SVG}g"):
        said = group.find(f"{SVG}title").text if group.get("class") == "k2-mark" else ""
        if re.match(r"p\d\d: ", said):
            found.append((said, next(float(use.attrib["x"]) for use in group.iter(f"{SVG}use"))))
    assert len(found) == 16 and any(said.startswith("p50: 200 ms of 2") for said, _ in found)
    for first in range(0, 16, 4):
        places = [at for _, at in found[first : first + 4]]
        assert places == sorted(places)


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


def test_the_sheet_of_every_page_has_the_colours_that_a_figure_is_drawn_in():
    for name, (light, dark) in style.PROPERTIES.items():
        assert f"--{name}: light-dark({light}, {dark});" in sheet()


def test_a_reports_page_keeps_a_figure_and_its_colours():
    for figure in figures().values():
        kept = made_inert(figure._repr_html_())
        assert kept.count("var(--k2-") == figure.svg.count("var(--k2-") and kept.count("<text") == figure.svg.count(
            "<text"
        )
        assert kept.count("url(#") == figure.svg.count("url(#") and 'role="img"' in kept and "<figcaption>" in kept
        assert {f"#{name}" for name in re.findall(r'\bid="([^"]+)"', kept)} >= set(re.findall(r"url\((#[^)]+)\)", kept))
