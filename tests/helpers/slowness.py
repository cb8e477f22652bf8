"""Which tests `make quick` leaves out: those that took long when they were last measured, by `make slow-list`.

``tests/data/slow.json`` has the CPU seconds, those of processes that ended meanwhile included, of each function of
tests that is marked ``slow`` for them. A new one is quick until it is measured. What is marked by hand, as one
parameter of many, is not in the list.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

KEPT = Path(__file__).resolve().parents[1] / "data" / "slow.json"
LONGEST_S, LONGEST_OF_ALL_S = 0.1, 2.0
"""CPU seconds that quick tests take: one in the mean, and all of a function's parameters."""

OPTION = "--measure-slow"


def function_of(nodeid: str) -> str:
    """What the list calls a test: without its parameters and its group.

    >>> function_of("tests/a.py::test_b[c::d]@e")
    'tests/a.py::test_b'
    """
    return re.split(r"[\[@]", nodeid, maxsplit=1)[0]


def slow_of(measured: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The functions that are too slow, with the sum of what their tests took."""
    return {
        name: round(sum(taken), 1)
        for name, taken in sorted(measured.items())
        if sum(taken) > min(LONGEST_OF_ALL_S, LONGEST_S * len(taken))
    }


class Slowness:
    """A plugin; see the module."""

    def __init__(self, config: pytest.Config) -> None:
        self.measures = config.getoption(OPTION)
        self.names = frozenset(json.loads(KEPT.read_text()))
        self.measured = defaultdict[str, list[float]](list)
        self.by_hand = set[str]()
        self.began_s = 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if item.get_closest_marker("slow"):
                self.by_hand.add(item.nodeid)
            elif function_of(item.nodeid) in self.names:
                item.add_marker(pytest.mark.slow)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self.began_s = cpu_s()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> object:
        if call.when == "teardown" and self.measures and item.nodeid not in self.by_hand:
            item.user_properties.append((OPTION, cpu_s() - self.began_s))
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        taken = dict(report.user_properties).get(OPTION)
        if isinstance(taken, float):
            self.measured[function_of(report.nodeid)].append(taken)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.measures and not hasattr(session.config, "workerinput"):
            KEPT.write_text(json.dumps(slow_of(self.measured), indent=1) + "\n")


def cpu_s() -> float:
    """What this process and its children that ended have taken."""
    return sum(os.times()[:4])
