"""Pictures of an audit: what is drawn is what was counted, and what is not drawn is named."""

import re
import subprocess
import sys
from datetime import date, timedelta
from xml.etree import ElementTree

import pytest

from k2lab.audit.summary import summed_up
from k2lab.audit.tallies import Cell, Tally
from k2lab.findings import CATALOGUE
from k2lab.show import auditfigures as figures
from k2lab.show.audits import audit_view
from k2lab.show.drawing import WIDTH, ticks
from k2lab.show.parts import whole_page
from tests.conftest import ROOT

SVG = "{http://www.w3.org/2000/svg}"
CODES = sorted(entry.code for entry in CATALOGUE.values())


def summary(days=10, arms=2, codes=3, changes_at=6, looked=400):
    """Each code in half as many exchanges as the one before; the first changes its share, at the first vendor."""
    tally = Tally()
    for arm in range(arms):
        for number in range(days):
            cell = Cell(looked=looked)
            for rank, code in enumerate(CODES[:codes]):
                count = max(1, looked // 8 >> rank)
                cell.by[f"code:{code}"] = count * (3 if not (rank or arm) and number >= changes_at else 1)
                tally.findings[code] += cell.by[f"code:{code}"]
            cell.faulty = max(cell.by.values()) + arm
            tally.cells[f"model-{arm % 3}", f"v{arm}.example", str(date(2026, 1, 1) + timedelta(number))] = cell
    return summed_up(tally)


def parsed(figure):
    return ElementTree.fromstring(figure.svg)


def said(figure, tag):
    return [mark.find(f"{SVG}title").text for mark in parsed(figure).iter(f"{SVG}{tag}")]


def test_bars_and_whiskers_are_as_long_as_the_shares():
    value = summary(codes=3)
    figure = figures.by_finding(value)
    most = ticks(max(one.exchanges.high for one in value.codes))[-1]
    bars = [float(bar.attrib["width"]) for bar in parsed(figure).iter(f"{SVG}rect")]
    assert bars == pytest.approx([one.exchanges.value / most * figures.BARS_WIDE for one in value.codes], abs=0.06)
    lines = [line.attrib for line in parsed(figure).iter(f"{SVG}polyline") if line.attrib["stroke-width"] == "1.4"]
    ends = [[float(point.split(",")[0]) - 1 for point in line["points"].split()] for line in lines[::3]]
    wanted = [
        [end / most * figures.BARS_WIDE for end in (one.exchanges.low, one.exchanges.high)] for one in value.codes
    ]
    assert ends == [pytest.approx(pair, abs=0.06) for pair in wanted]
    assert [row["count"] for row in figure.rows] == [one.exchanges.count for one in value.codes]


def test_more_findings_and_vendors_than_have_room_are_named_or_put_together():
    value = summary(codes=20, arms=30, days=2)
    found, arms = figures.by_finding(value), figures.by_arm(value)
    assert len(said(found, "rect")) == figures.MOST_BARS
    assert all(f"{one.code}" in found.caption for one in value.codes[figures.MOST_BARS :])
    assert len(said(arms, "rect")) == figures.MOST_BARS + 1
    assert said(arms, "rect")[-1].startswith("the other 18, together: ")
    assert sum(row["of"] for row in arms.rows) == value.looked


def test_where_a_share_changed_is_marked_with_its_day_and_its_levels():
    value = summary(days=10, changes_at=6)
    (change,) = value.changes
    (series,) = value.series
    assert (series.days[6], series.counts[5][1]) == (change.day, 400)
    figure = figures.changed(value)
    texts = [text.text for text in parsed(figure).iter(f"{SVG}text")]
    assert change.day in texts and f"{CODES[0]}: model-0 at v0.example" in texts
    dashed = [line.attrib["points"] for line in parsed(figure).iter(f"{SVG}polyline") if "dash" in str(line.attrib)]
    x = figures.LEFT + (figures.RIGHT - figures.LEFT) * 0.6
    assert [float(dashed[0].split(",")[0]), *(float(way.split(",")[0]) for way in dashed[1:])] == pytest.approx(
        [x, figures.LEFT, x], abs=0.06
    )
    assert (
        f"levels {change.before.value:.1%} from 2026-01-01, then {change.after.value:.1%} from 2026-01-07" in figure.alt
    )
    assert len(said(figure, "circle")) == 10
    assert CODES[0] in [text.text for text in parsed(figures.over_time(value)).iter(f"{SVG}text")]


def test_days_beyond_what_can_be_told_apart_are_put_together():
    value = summary(days=1000, arms=1, codes=1, changes_at=600)
    for figure in (figures.over_time(value), figures.changed(value)):
        assert len(figure.rows) <= figures.MOST_POINTS and "11 days a point" in figure.svg
        assert sum(row["of"] for row in figure.rows) == value.looked
    assert len(figures.changed(value).svg) < 20_000


def test_there_is_no_picture_of_nothing():
    value = summed_up(Tally())
    assert [make(value) for make in (figures.by_finding, figures.by_arm, figures.over_time, figures.changed)] == [
        None
    ] * 4
    one = summary(days=1, arms=1, codes=1)
    assert [make(one) is None for make in (figures.by_finding, figures.by_arm, figures.over_time)] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("size", [{"days": 400, "arms": 2, "codes": 1}, {"days": 3, "arms": 60, "codes": 40}])
def test_a_page_of_many_models_or_years_stays_small_and_its_words_within_it(size):
    page = whole_page("k2lab audit", audit_view(summary(**size)))
    assert len(page) < 200_000
    for drawing in re.findall(r"<svg.*?</svg>", page):
        for text in ElementTree.fromstring(drawing).iter(f"{SVG}text"):
            wide, x = 0.64 * float(text.attrib["font-size"]) * len(text.text), float(text.attrib["x"])
            left = {"start": x, "middle": x - wide / 2, "end": x - wide}[text.attrib.get("text-anchor", "start")]
            assert left > -2 and left + wide < WIDTH + 2, text.text


def test_the_summary_keeps_to_the_width_of_a_terminal_and_loses_nothing():
    value = summary(days=20, arms=5, codes=9)
    wide, narrow = audit_view(value).text, audit_view(value, width=80).text
    assert max(map(len, narrow.splitlines())) <= 80 < max(map(len, wide.splitlines()))
    assert sorted("".join(wide.split())) == sorted("".join(narrow.split()))
    assert all(f" {one.exchanges.count:,} = {one.exchanges.value:.2%} [" in narrow for one in value.codes)


def test_a_report_is_drawn_where_matplotlib_is_not_installed():
    code = "import sys; sys.modules['matplotlib'] = None; from k2lab.show import auditfigures, audits"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
