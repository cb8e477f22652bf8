"""The cases of a benchmark file to browse: told apart by arm, ending and fault, and by what flips between two arms."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from k2lab.bench import metrics, store
from k2lab.bench.judged import Judged, judge_all
from k2lab.bench.records import Result, Run
from k2lab.errors import InputError
from k2lab.legible import one_line

Right = Literal["valid", "sound", "calling"]
Turn = Literal["any", "lost", "gained"]

FAILED = "failed"
"""The ending of a request that got no answer."""

SAID = 300
"""Characters of what became of a case."""

RIGHT: Mapping[Right, Callable[[Judged], bool]] = {
    "valid": lambda judged: bool(judged.verdict.k2vv_valid),
    "sound": lambda judged: judged.verdict.sound,
    "calling": lambda judged: judged.answered and bool(judged.verdict.calls),
}
"""What may flip between two arms: a valid tool call (K2VV's reading), a sound one (the strict), a call at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One stored result of an arm, judged, without its texts; ``said`` tells in a line what became of it."""

    arm: str
    data_index: int
    trial: int
    ending: str
    faults: tuple[str, ...]
    """What the strict reading finds, each with whose it is: ``call: schema_violation``, ``request: timeout``."""
    said: str
    right: frozenset[Right]
    messages: str
    """A digest of the request's messages; see :func:`k2lab.bench.judged.messages_of`."""
    duration_ms: float

    @classmethod
    def of(cls, arm: str, judged: Judged) -> Case:
        """A judged result of an arm."""
        return cls(
            arm=arm,
            data_index=judged.data_index,
            trial=judged.trial,
            ending=str(judged.finish_reason) if judged.answered else FAILED,
            faults=faults_of(judged),
            said=one_line(metrics.describe(judged), SAID),
            right=frozenset(name for name, is_right in RIGHT.items() if is_right(judged)),
            messages=judged.messages,
            duration_ms=judged.duration_ms,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A case, and beside it that of the other arm where two are compared."""

    case: Case
    other: Case | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which cases are looked at; an empty text is any.

    With ``against``, another arm, only what differs from ``arm`` to it in
    ``right`` is: ``lost`` is right in ``arm`` and wrong in ``against``.
    """

    arm: str = ""
    ending: str = ""
    fault: str = ""
    against: str = ""
    right: Right = "valid"
    turn: Turn = "any"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """Cases that are wanted, in the order of the file; ``unpaired``: how many were asked something else in two arms."""

    pairs: tuple[Pair, ...]
    unpaired: int = 0

    def page(self, number: int, size: int) -> tuple[Pair, ...]:
        """A page, the first is 0."""
        return self.pairs[number * size : (number + 1) * size]

    def pages(self, size: int) -> int:
        """How many pages there are, one at least."""
        return max(1, -(-len(self.pairs) // size))


class Cases:
    """A benchmark file to browse: each arm is judged once, when it is first asked for; texts stay in the file.

    Raises :class:`InputError` in one line for what is no such file, is damaged, or has no results.

    >>> from pathlib import Path
    >>> Path("samples.jsonl").write_text('{"messages": [{"role": "user", "content": "Hello"}]}') > 0
    True
    >>> arm = k2lab.Arm(name="as sent", base_url=base_url, model="m")
    >>> k2lab.run_benchmark("samples.jsonl", arm, "run.db").counts
    {'stop': 1}
    >>> len(Cases("run.db").choose(Wanted(arm="as sent", ending="stop")).pairs)
    1
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with store.reading(self.path) as file:
            self._runs = {run.arm: run for run in file.arms() if file.has_results(run)}
        if not self._runs:
            raise InputError(f"{self.path} has no results yet: k2lab bench run writes them")
        self._of = cache(self._judged)

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms with results, in the order in which they were first seen."""
        return tuple(self._runs)

    def run_of(self, arm: str) -> Run:
        """The latest run of an arm."""
        return self._runs[arm]

    def of(self, arm: str) -> Sequence[Case]:
        """The cases of an arm, or of every arm where it is empty."""
        return self._of(arm) if arm else tuple(itertools.chain.from_iterable(map(self._of, self._runs)))

    def choose(self, wanted: Wanted) -> Chosen:
        """The cases that are wanted."""
        if not wanted.against:
            return Chosen(pairs=tuple(Pair(case=case) for case in self.of(wanted.arm) if _is_wanted(case, wanted)))
        if not wanted.arm or wanted.arm == wanted.against:
            raise InputError("choose two different arms to see what flips between them")
        flips, unpaired = _flips(self.of(wanted.arm), self.of(wanted.against), wanted)
        return Chosen(pairs=tuple(pair for pair in flips if _is_wanted(pair.case, wanted)), unpaired=unpaired)

    def open(self, case: Case) -> Result:
        """The whole of a case, read from the file."""
        with store.reading(self.path) as file:
            return file.result_of(self._runs[case.arm], case.data_index, case.trial)

    def _judged(self, arm: str) -> tuple[Case, ...]:
        with store.reading(self.path) as file:
            return tuple(Case.of(arm, judged) for judged in judge_all(file.results(self._runs[arm])))


def counted(cases: Iterable[Case]) -> tuple[Counter[str], Counter[str]]:
    """How many cases have each ending, and each fault."""
    endings: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for case in cases:
        endings[case.ending] += 1
        faults.update(case.faults)
    return endings, faults


def faults_of(judged: Judged) -> tuple[str, ...]:
    """What is wrong with a result, strictly, each fault once with whose it is."""
    return tuple(dict.fromkeys(_faults(judged)))


def _faults(judged: Judged) -> Iterator[str]:
    if not judged.answered:
        yield f"request: {metrics.failure_kind(judged.failure)}"
        return
    verdict = judged.verdict
    yield from (f"call: {call.fault}" for call in verdict.calls if call.fault)
    yield from (f"answer: {fault}" for fault in verdict.faults)
    if verdict.cut_short:
        yield f"cut short: {judged.finish_reason}"
    yield from (f"not judged: {reason}" for reason in verdict.unjudged)


def _is_wanted(case: Case, wanted: Wanted) -> bool:
    return (not wanted.ending or case.ending == wanted.ending) and (not wanted.fault or wanted.fault in case.faults)


def _flips(first: Iterable[Case], second: Iterable[Case], wanted: Wanted) -> tuple[list[Pair], int]:
    """Pairs that differ in what is wanted, and how many cannot be paired since they were asked something else."""
    others = {(case.data_index, case.trial): case for case in second}
    flips, unpaired = [], 0
    for case in first:
        other = others.get((case.data_index, case.trial))
        if other is None:
            continue
        unpaired += case.messages != other.messages
        before, after = wanted.right in case.right, wanted.right in other.right
        turned = wanted.turn == "any" or (wanted.turn == "lost") == before
        if case.messages == other.messages and before != after and turned:
            flips.append(Pair(case=case, other=other))
    return flips, unpaired
