"""Puts rendered reports where they open from a clone: small, passed, nothing to fetch (``make publish-reports``)."""

import shutil
import sys
from pathlib import Path

from k2lab.notebook import listing, page
from k2lab.notebook.fetching import fetched, run_by

LARGEST_BYTES = 2_000_000
"""A report is looked at in a browser and kept in every clone."""


def refusal(report: Path) -> str:
    """Why a report can't be published; empty where it can."""
    size = report.stat().st_size
    if size >= LARGEST_BYTES:
        return f"{report.name} has {size:,} bytes: at most {LARGEST_BYTES:,} are published"
    text = report.read_text(encoding="utf-8")
    if outside := fetched(text):
        return f"{report.name} would fetch from outside: {outside!r}"
    if foreign := run_by(text, {page.own_script()}):
        return f"{report.name} would run what is not k2lab's own: {foreign!r}"
    if 'data-status="passed"' not in text:
        return f"{report.name} is of a run that did not pass: see its first line"
    return ""


def publish(reports: Path, folder: Path) -> list[Path]:
    """Copy every report of ``reports``; ends the program with all reasons, and without a copy, where one can't be."""
    found = sorted(path for path in reports.glob("*.html") if path.name != listing.FILE)
    refused = [reason for report in found if (reason := refusal(report))]
    if refused or not found:
        raise SystemExit("\n".join(refused) or f"no report in {reports}: run make report first")
    return [Path(shutil.copyfile(report, folder / report.name)) for report in found]


if __name__ == "__main__":
    for path in publish(Path(sys.argv[1]), Path(sys.argv[2])):
        print(f"{path} ({path.stat().st_size:,} bytes)")
