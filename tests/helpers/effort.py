"""How much a run of the tests tries, and what it holds code to: CPU time, so that a busy machine fails nothing.

`make test-long` loads hypothesis' profile ``thorough`` and tries at least four times as many examples of a property as
other runs; one with ``--hypothesis-profile=long`` tries twenty times as many again.
"""

import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import settings

PROFILE = settings.get_current_profile_name()
THOROUGH = PROFILE != "quick"


def examples(count: int) -> settings:
    """So many examples of a property, a tenth of them in a usual run and twenty times as many in a long one."""
    return settings(max_examples={"quick": max(count // 10, 25), "thorough": count, "long": 20 * count}[PROFILE])


FEW = settings(max_examples={"quick": 2, "thorough": 3, "long": 100}[PROFILE])
"""For each schema of a catalogue of hundreds."""


def one_in(few: int, names: Iterable[str]) -> list[object]:
    """The names of a catalogue as parameters: one in ``few`` for `make test`, the others left to `make test-long`."""
    return [
        name if place % few == 0 else pytest.param(name, marks=pytest.mark.long) for place, name in enumerate(names)
    ]


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    """What stands in the block takes no more CPU time than that."""
    began = time.process_time()
    yield
    took = time.process_time() - began
    assert took < limit_s, f"took {took:.2f} s of CPU time, at most {limit_s} s are allowed"


def assert_linear(work: Callable[[str], object], unit: str) -> None:
    """Four times the text takes about four times as long, and not the sixteen of a quadratic reader."""
    size = 400_000 if THOROUGH else 100_000
    short_s = long_s = math.inf
    for _ in range(6):  # something else may fall into one: another process on this core, a page that was not there
        short_s = min(short_s, _cpu_s(work, unit * (size // 4 // len(unit))))
        long_s = min(long_s, _cpu_s(work, unit * (size // len(unit))))
        if long_s <= 7 * short_s:
            return
    raise AssertionError(f"{size} characters take {long_s:.3f} s, a quarter of them {short_s:.3f} s")


def _cpu_s(work: Callable[[str], object], text: str) -> float:
    """CPU time without that of collecting garbage, which grows with what other tests left behind."""
    gc.disable()
    try:
        began = time.process_time()
        work(text)
        return time.process_time() - began
    finally:
        gc.enable()
