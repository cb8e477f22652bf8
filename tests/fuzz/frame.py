"""The frame of the fuzz: subjects, each tried again and again, every try known by its seed.

A subject is a module of this folder with two names:

- ``KEPT``, the seeds that the tests try (a few seconds of CPU in all),
- ``opened(place)``, a context manager that makes what every try needs in the folder ``place`` (a server, a model
  folder, once) and gives ``attempt(random, folder)``: one try, its choices by ``random`` alone, in an empty folder of
  its own. What must not be raises: an ``AssertionError``, or whatever a command let out.
"""

from __future__ import annotations

import os
import pkgutil
import resource
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, chdir, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, Protocol
from unittest import mock

import tests.fuzz

KEY = "sk-canary-4c1d5e8a"
"""The key that every command holds while it is tried, and that no output and no file may show."""

ROOM = 3 << 30
"""Bytes of address space that the tries may take."""

Attempt = Callable[[Random, Path], None]


class HangError(BaseException):
    """What was tried went on for too long; no ``except Exception`` of the tried code catches it."""


class Subject(Protocol):
    """What is tried: a module of this folder."""

    KEPT: Iterable[int]

    def opened(self, place: Path) -> AbstractContextManager[Attempt]:
        """What every try needs."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a run of tries; each failure with the seed that repeats it."""

    tries: int
    failures: dict[int, str]
    seconds: float


def subjects() -> dict[str, Any]:
    """Every subject by its name."""
    modules = (import_module(f"tests.fuzz.{found.name}") for found in pkgutil.iter_modules(tests.fuzz.__path__)
               if not found.name.startswith("_"))  # fmt: skip
    return {module.__name__.rpartition(".")[2]: module for module in modules if hasattr(module, "opened")}


@contextmanager
def surroundings() -> Iterator[Path]:
    """A folder that goes afterwards, a cache of its own, a key that must not show."""
    with tempfile.TemporaryDirectory(prefix="k2lab-fuzz-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        told = {"OPENAI_API_KEY": KEY, "K2LAB_CACHE": str(place / "cache"), "NO_COLOR": "1"}
        with mock.patch.dict(os.environ, told), chdir(place):
            yield place


@contextmanager
def bounded() -> Iterator[None]:
    """So much memory more than there is now, so that what reads without end fails here, and not the machine."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def tried(subject: Subject, seeds: Iterable[int], *, until: float = float("inf"), most: int = 10) -> Outcome:
    """Try seeds until the clock (:func:`time.monotonic`) says ``until``, or ``most`` have failed."""
    began, tries, failures = time.monotonic(), 0, {}
    with surroundings() as place, subject.opened(place) as attempt, bounded():
        for seed in seeds:
            if time.monotonic() >= until or len(failures) >= most:
                break
            tries += 1
            try:
                once(attempt, seed, place)
            except (Exception, HangError):
                failures[seed] = traceback.format_exc()
    return Outcome(tries=tries, failures=failures, seconds=time.monotonic() - began)


def once(attempt: Attempt, seed: int, place: Path) -> None:
    """One try, in a folder that is empty before and gone afterwards."""
    folder = place / f"try-{seed}"
    folder.mkdir()
    try:
        attempt(Random(seed), folder)
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)
