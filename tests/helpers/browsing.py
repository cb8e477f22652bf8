"""Chromium as a reader has it: a page without a network that remembers whatever went wrong on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "reports" / "screens"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""Whatever is asked of another machine, by name or by number, is not found; what was asked is remembered below."""
OWN = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:", "ws://127.0.0.1:")
GRAVE = ("serious", "critical")
SIZE = {"width": 1280, "height": 900}
PATIENCE_MS = 180_000
"""A kernel starts in three seconds, and in a minute beside a suite that starts fourteen servers."""

SETTLED = """light => !document.getElementById('jupyterlab-splash')
  && [undefined, light].includes(document.body.dataset.jpThemeLight)"""
"""JupyterLab hides the page while it changes its theme."""

AROUND = 300
"""Pixels of JupyterLab's bars above and below a notebook."""


def executable() -> str:
    """The Chromium of the system; where there is none the tests that ask are skipped and say what to install."""
    found = os.environ.get("K2LAB_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium (or name one by K2LAB_CHROMIUM), then run these tests")
    return found


@contextmanager
def browser() -> Iterator[object]:
    """A Chromium without a window. While it runs, no event loop of asyncio can be started in this thread."""
    found = executable()
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright here: make setup")
    flags = [NO_NETWORK, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=found, args=flags)
        yield made
        made.close()


@dataclass
class Watched:
    """What went wrong on a page; ``pardoned`` holds words of complaints that a test expects."""

    complaints: list[str] = field(default_factory=list)
    pardoned: list[str] = field(default_factory=list)

    def watch(self, page: object) -> None:
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("console", self._heard)
        page.on("request", lambda request: self._asked(request.url))
        page.on("websocket", lambda socket: self._asked(socket.url))

    def left(self) -> list[str]:
        return [said for said in self.complaints if not any(words in said for words in self.pardoned)]

    def _heard(self, message: object) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text[:500]} ({message.location.get('url', '')[:200]})")

    def _asked(self, url: str) -> None:
        if not url.startswith(OWN):
            self.complaints.append(f"outside: {url[:200]}")


@contextmanager
def opened(chromium: object, scheme: str = "light", **options: object) -> Iterator[object]:
    """A page of its own, light or dark; what went wrong on it fails at the end."""
    watched = Watched()
    context = chromium.new_context(color_scheme=scheme, viewport=SIZE, reduced_motion="reduce", **options)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(PATIENCE_MS)
    context.on("page", watched.watch)
    page = context.new_page()
    page.watched = watched
    try:
        yield page
    finally:
        context.close()
    assert not watched.left(), "\n".join(watched.left())


def expect(part: object) -> object:
    """Playwright's assertions, which wait: what stands in another widget than the one waited for may come later."""
    from playwright.sync_api import expect

    return expect(part)


def schemes(page: object) -> Iterator[str]:
    """The page in light, then in dark, as a reader switches the system; JupyterLab follows."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(SETTLED, arg=str(scheme == "light").lower())
        yield scheme


def photographed(page: object, part: object, path: Path) -> Path:
    """A picture of a part of a page, whole: what scrolls within the page gets a window that it fits into."""
    box = part.bounding_box()
    page.set_viewport_size({"width": SIZE["width"], "height": max(SIZE["height"], int(box["height"]) + AROUND)})
    part.screenshot(path=path)
    page.set_viewport_size(SIZE)
    return path


def grave_findings(page: object, within: str | None = None) -> list[str]:
    """What axe-core calls serious or critical on the page, or within the elements of a CSS selector."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=within).response["violations"]
    return [
        f"{one['impact']}: {one['id']}: {one['help']}\n  " + "\n  ".join(_node(node) for node in one["nodes"][:5])
        for one in found
        if one["impact"] in GRAVE
    ]


def _node(node: dict[str, object]) -> str:
    why = " ".join(str(check["message"]) for check in [*node["any"], *node["all"], *node["none"]])
    return f"{node['html'][:160]} | {why[:240]}"
