"""The notebook that `k2lab lab` opens on runs without a server and without a browser."""

from k2lab.notebook import report
from tests.conftest import ROOT


def test_the_start_page_holds_and_its_report_leads_to_the_others(tmp_path):
    made = report.run("0_start", folder=ROOT / "notebooks", out=tmp_path)
    assert made.ok, made.error
    page = made.html.read_text()
    assert made.results["read"] == {"wire strict": "lost", "wire": "right"}
    assert "leads the model to write foreign ids" in page and 'href="4_benchmark.html"' in page
    assert len(page) < 500_000
