"""A real Chromium before a real JupyterLab, for all tests of this folder; see `page`, `lab`, `axe`, `screenshot`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import browsing, jupyter

Check = Callable[..., None]


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process does all of these: one browser, one JupyterLab."""
    for item in items:
        if item.nodeid.startswith("tests/browser/"):
            for mark in (pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")):
                item.add_marker(mark)


@pytest.fixture(scope="package")  # not of the session: while a browser is driven, asyncio is taken in this thread
def chromium() -> Iterator[object]:
    with browsing.browser() as made:
        yield made


@pytest.fixture
def scheme() -> str:
    """``light``; a test over both takes `@pytest.mark.parametrize("scheme", ["light", "dark"])`."""
    return "light"


@pytest.fixture
def page(chromium: object, scheme: str) -> Iterator[object]:
    """A page of Playwright without a network; an uncaught error or a request to the outside fails the test.

    `page.watched.pardoned` takes words of complaints that are expected.
    """
    with browsing.opened(chromium, scheme) as made:
        yield made


@pytest.fixture(scope="package")
def jupyterlab(chromium: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[jupyter.Lab]:
    with jupyter.started(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture
def lab(jupyterlab: jupyter.Lab) -> Iterator[jupyter.Lab]:
    """A JupyterLab over a copy of the notebooks, light or dark as the page is; kernels end with the test."""
    yield jupyterlab
    jupyterlab.end_kernels()


@pytest.fixture(scope="session")
def axe() -> Check:
    """`axe(page, ".some .selector")`: nothing that axe-core calls serious or critical."""

    def check(page: object, within: str | None = None) -> None:
        found = browsing.grave_findings(page, within)
        assert not found, "\n".join(found)

    return check


@pytest.fixture
def screenshot(page: object) -> Callable[..., Path]:
    """`screenshot("name-light")`, or of a locator `screenshot("name-light", part)`: kept in reports/screens."""

    def keep(name: str, part: object | None = None) -> Path:
        path = browsing.SCREENS / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if part is None:
            page.screenshot(path=path)
        else:
            browsing.photographed(page, part, path)
        return path

    return keep
