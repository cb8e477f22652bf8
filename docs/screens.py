"""Photographs the workbench and the reports as a reader meets them, light and dark (``make screens``).

A benchmark is run on live servers first, for the run browser; then JupyterLab and the reports of the last
``make report`` are driven in Chromium. The pictures go into the folder that is named.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image  # matplotlib brings it along

import k2lab.notebook as k2
from tests.helpers import browsing, jupyter

SERVERS = {"0.11.0 legacy": "", "0.11.0 declared": "", "0.11.1 legacy": "", "0.32.0 declared": ""}
REQUESTS = 100
COLOURS = 128
"""Of a picture: a screen of text looks the same and takes a third of the bytes."""

CURRENT = "k2-nano:current"
IMPORT = "import k2lab.notebook as k2\n"


def explorer(lab: jupyter.Lab, page: object) -> object:
    """A history with foreign ids; on the right they are repaired first."""
    shown = lab.ran(page, f'{IMPORT}k2.explore("foreign_id", left="{CURRENT}", right="{CURRENT}")').output(0)
    shown.get_by_label("Repair first").nth(1).select_option("ids")
    shown.locator(".said", has_text="message 1 (assistant)").wait_for()
    shown.get_by_label("ids under the pieces").check()
    return shown


def playground(lab: jupyter.Lab, page: object) -> object:
    """A right output: fed seven tokens at a time, vLLM 0.11.0 loses it."""
    shown = lab.ran(page, f'{IMPORT}k2.play(case="documented form", chunk=7).ask().wait()').output(0)
    shown.locator("mark").first.wait_for()
    return shown


def run_browser(lab: jupyter.Lab, page: object) -> object:
    """The requests that flip between two servers, and one of them open."""
    shown = lab.ran(page, f'{IMPORT}k2.browse("run.db")').output(0)
    shown.get_by_label("Arm").select_option(index=1)
    shown.get_by_label("Flips with").select_option(index=1)
    shown.get_by_label("Cases").locator("option").first.wait_for()
    shown.get_by_label("Cases").select_option(index=0)
    shown.get_by_text("What was asked").wait_for()
    return shown


IN_JUPYTERLAB: Mapping[str, Callable[[jupyter.Lab, object], object]] = {
    "explorer": explorer,
    "playground": playground,
    "run_browser": run_browser,
}
PAGES = {"report": "4_benchmark.html", "index": "index.html"}


def photograph(reports: Path, folder: Path) -> list[Path]:
    """Write every picture into ``folder``; ``SystemExit`` where a report is not there."""
    missing = [name for name in PAGES.values() if not (reports / name).exists()]
    if missing:
        raise SystemExit(f"no {', '.join(missing)} in {reports}: run make report first")
    with tempfile.TemporaryDirectory(prefix="k2lab-screens-") as place:
        benchmark = _benchmark(Path(place))
        with browsing.browser() as chromium, jupyter.started(Path(place)) as lab:
            benchmark.rename(lab.folder / "run.db")
            return [
                made
                for scheme in ("light", "dark")
                for made in (*_of_lab(chromium, lab, scheme, folder), *_of_pages(chromium, reports, scheme, folder))
            ]


def _benchmark(place: Path) -> Path:
    """A file of the ladder's answers, on servers of its own."""
    asked = k2.Questions.of("4_benchmark", out=str(place / "out"), requests=REQUESTS)
    k2.ladder.climb(k2.ladder.LADDER, k2.connect(SERVERS), asked)
    return next((place / "out").rglob("*.db"))


def _of_lab(chromium: object, lab: jupyter.Lab, scheme: str, folder: Path) -> list[Path]:
    made = []
    for name, scene in IN_JUPYTERLAB.items():
        with browsing.opened(chromium, scheme) as page:
            shown = scene(lab, page)
            made.append(_smaller(browsing.photographed(page, shown, folder / f"{name}-{scheme}.png")))
        lab.end_kernels()
    return made


def _of_pages(chromium: object, reports: Path, scheme: str, folder: Path) -> list[Path]:
    made = []
    for name, file in PAGES.items():
        with browsing.opened(chromium, scheme) as page:
            page.goto((reports / file).resolve().as_uri())
            page.screenshot(path=folder / f"{name}-{scheme}.png")
            made.append(_smaller(folder / f"{name}-{scheme}.png"))
    return made


def _smaller(path: Path) -> Path:
    """The same picture with fewer colours."""
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    return path


if __name__ == "__main__":
    for picture in photograph(Path(sys.argv[1]), Path(sys.argv[2])):
        print(f"{picture} ({picture.stat().st_size:,} bytes)")
