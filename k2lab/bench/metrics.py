"""Counts and shares over the answers of an arm, in two readings that share no name.

:class:`K2vv` gives the numbers that K2-Vendor-Verifier's own runner gives for
the same results, under its names. :class:`Strict` counts as what they are the
things which that reading passes over or blames on the model. :class:`Trigger`
asks whether an answer calls where a reference does, by K2VV's formulas.
"""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from k2lab.bench.judged import RAW, Judged
from k2lab.errors import InputError
from k2lab.server.transport import FailureKind
from k2lab.stats import McNemar, Share, mcnemar, share

FAILURE_KINDS: tuple[str, ...] = get_args(FailureKind)
"""How a stored failure begins."""

ERROR_TYPE = re.compile(r"[A-Z][A-Za-z]+")
"""How that of an imported result may begin: K2VV's ``error_type``, the name of a Python class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class K2vv:
    """K2VV's summary of one trial, its fields under its names, and its schema accuracy."""

    success_count: int
    failure_count: int
    finish_stop: int
    finish_tool_calls: int
    finish_others: int
    finish_others_detail: Mapping[str, int]
    schema_validation_error_count: int
    successful_tool_call_count: int

    @property
    def schema_accuracy(self) -> Share:
        """successful_tool_call_count / finish_tool_calls."""
        return share(self.successful_tool_call_count, self.finish_tool_calls)

    @property
    def successful(self) -> Share:
        """successful_tool_call_count of all requests."""
        return share(self.successful_tool_call_count, self.success_count + self.failure_count)

    @property
    def success_rate(self) -> Share:
        """success_count of all requests."""
        return share(self.success_count, self.success_count + self.failure_count)

    def finish_reasons(self) -> dict[str, int]:
        """How often each finish reason occurs."""
        return {"tool_calls": self.finish_tool_calls, "stop": self.finish_stop, **self.finish_others_detail}


@dataclass(frozen=True, kw_only=True, slots=True)
class Strict:
    """The same answers, strictly. Calls are counted by the first fault of each, answers by all of theirs."""

    answers: int
    calling: int
    """Answers with at least one call, whatever their finish reason says."""
    sound: int
    """Of those, answers without a fault in which every call is declared, valid, rightly numbered and asked for."""
    unjudged: int
    """Of those that call, answers of which something cannot be judged, and not for the model's fault."""
    calls: int
    call_faults: Mapping[str, int]
    answer_faults: Mapping[str, int]
    cut_short: Mapping[str, int]
    """Answers that did not end by themselves, by finish reason: ``length``, ``content_filter``."""
    not_judged: Mapping[str, int]
    """All answers of which something cannot be judged, by the reason."""
    unanswered: Mapping[str, int]
    """Failed requests by the kind of failure."""

    @property
    def soundness(self) -> Share:
        """Sound answers of those that call and can be judged."""
        return share(self.sound, self.calling - self.unjudged)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """Does it call where the reference calls? K2VV's ToolCall-Trigger Similarity; a failed request does not call."""

    tp: int
    fp: int
    fn: int
    tn: int
    same: int
    """Of the true positives, answers whose calls equal the reference's, name by name and argument by argument."""

    @property
    def precision(self) -> Share:
        """TP / (TP + FP)."""
        return share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Share:
        """TP / (TP + FN)."""
        return share(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 where there is no true positive."""
        return f1_of(self.overlap.value) if self.overlap.total else 0.0

    @property
    def f1_interval(self) -> tuple[float, float]:
        """From the Wilson interval of :attr:`overlap`, with which F1 rises and falls.

        F1 is 2J / (1 + J) of J = TP / (TP + FP + FN). Of requests drawn at random,
        TP is binomial among those on which either side calls, with no more said of
        them than their number: so J is a share like any other, and what holds its
        interval holds that of F1, without a bootstrap or a slope at a point. Of one
        fixed set of requests asked again and again it is if anything too wide.
        """
        return f1_of(self.overlap.low), f1_of(self.overlap.high)

    @property
    def overlap(self) -> Share:
        """TP of the requests in which the arm or the reference calls."""
        return share(self.tp, self.tp + self.fp + self.fn)

    @property
    def same_calls(self) -> Share:
        """Answers that call just what the reference calls, of all in which it calls."""
        return share(self.same, self.tp + self.fn)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What an official run, or a label, does with a request; ``messages`` is a digest, ``model`` whom it asked."""

    finish_reason: str | None
    calls: str
    messages: str
    model: str = ""
    prompt_tokens: int | None = None

    @property
    def count(self) -> int:
        """How many calls it makes."""
        return len(json.loads(self.calls)) if self.calls else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Folded:
    """A figure over repeated trials."""

    mean: float
    spread: float
    """Standard deviation between trials; 0 for one."""
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1%} ± {self.spread:.1%} [{self.low:.1%}, {self.high:.1%}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flip:
    """A request on which two arms differ."""

    data_index: int
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two arms on the same requests: how often each alone is right, and whether chance explains that."""

    first: Share
    second: Share
    test: McNemar
    arms: tuple[str, str] = ("first", "second")
    """Their names, where whoever compared them said them."""
    flips: tuple[Flip, ...] = field(repr=False)


def count_as_k2vv(results: Iterable[Judged]) -> K2vv:
    """K2VV's counts; an answer that ends as a tool call without any is an error there, and here."""
    counts: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for result in results:
        counts["success" if result.answered else "failure"] += 1
        if result.finish_reason == "tool_calls":
            counts["valid" if result.verdict.k2vv_valid else "invalid"] += 1
        elif result.finish_reason == "stop":
            counts["stop"] += 1
        elif result.finish_reason:
            others[result.finish_reason] += 1
    return K2vv(
        success_count=counts["success"],
        failure_count=counts["failure"],
        finish_stop=counts["stop"],
        finish_tool_calls=counts["valid"] + counts["invalid"],
        finish_others=others.total(),
        finish_others_detail=dict(others),
        schema_validation_error_count=counts["invalid"],
        successful_tool_call_count=counts["valid"],
    )


def count_strictly(results: Iterable[Judged]) -> Strict:
    """Every fault counted as what it is."""
    counts: Counter[str] = Counter()
    call_faults: Counter[str] = Counter()
    answer_faults: Counter[str] = Counter()
    cut_short: Counter[str] = Counter()
    not_judged: Counter[str] = Counter()
    unanswered: Counter[str] = Counter()
    for result in results:
        if not result.answered:
            unanswered[failure_kind(result.failure)] += 1
            continue
        verdict = result.verdict
        counts["answers"] += 1
        counts["calling"] += bool(verdict.calls)
        counts["sound"] += verdict.sound
        counts["unjudged"] += bool(verdict.calls) and not verdict.judged
        counts["calls"] += len(verdict.calls)
        call_faults.update(call.fault for call in verdict.calls if call.fault)
        answer_faults.update(verdict.faults)
        cut_short.update([str(result.finish_reason)] if verdict.cut_short else [])
        not_judged.update(verdict.unjudged)
    return Strict(
        answers=counts["answers"],
        calling=counts["calling"],
        sound=counts["sound"],
        unjudged=counts["unjudged"],
        calls=counts["calls"],
        call_faults=dict(call_faults),
        answer_faults=dict(answer_faults),
        cut_short=dict(cut_short),
        not_judged=dict(not_judged),
        unanswered=dict(unanswered),
    )


def trigger(results: Iterable[Judged], reference: Mapping[int, Reference]) -> Trigger:
    """Against a reference, joined on ``data_index``; results that it does not have are left out.

    Raises :class:`InputError` where the two were asked something else.
    """
    counts: Counter[tuple[bool, bool]] = Counter()
    same = 0
    for result in results:
        wanted = reference.get(result.data_index)
        if wanted is None:
            continue
        _check_asked(result, wanted.messages, "the reference has other messages; it belongs to other samples")
        calls, should = result.finish_reason == "tool_calls", wanted.finish_reason == "tool_calls"
        counts[calls, should] += 1
        same += calls and should and result.calls == wanted.calls
    if not counts:
        raise InputError("the reference holds answers to other requests only: compare data_index in both files")
    return Trigger(
        tp=counts[True, True], fp=counts[True, False], fn=counts[False, True], tn=counts[False, False], same=same
    )


def by_trial(results: Iterable[Judged]) -> list[list[Judged]]:
    """Results apart by trial, in order."""
    trials: dict[int, list[Judged]] = {}
    for result in results:
        trials.setdefault(result.trial, []).append(result)
    return [trials[trial] for trial in sorted(trials)]


def fold(values: Sequence[float]) -> Folded:
    """Mean and spread of one figure over trials."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return Folded(mean=statistics.fmean(values), spread=spread, low=min(values), high=max(values))


def compare(
    first: Iterable[Judged],
    second: Iterable[Judged],
    right: Callable[[Judged], bool] | None = None,
    *,
    arms: tuple[str, str] = ("first", "second"),
) -> Comparison:
    """Two arms, paired by ``data_index`` and trial. ``right`` says what counts; by default a valid tool call (K2VV's).

    ``arms`` are their names, for whoever looks at the result.

    Raises :class:`InputError` where a pair was asked something else, or there is no pair.
    """
    judge_right = right or (lambda result: bool(result.verdict.k2vv_valid))
    others = {(result.data_index, result.trial): result for result in second}
    outcomes: Counter[tuple[bool, bool]] = Counter()
    flips: list[Flip] = []
    for one in first:
        other = others.get((one.data_index, one.trial))
        if other is None:
            continue
        _check_asked(one, other.messages, "the two arms were asked something else")
        pair = judge_right(one), judge_right(other)
        outcomes[pair] += 1
        if pair[0] != pair[1]:
            flips.append(Flip(data_index=one.data_index, before=describe(one), after=describe(other)))
    total = outcomes.total()
    if not total:
        raise InputError("the two arms have no request in common: run both on the same samples")
    return Comparison(
        first=share(outcomes[True, True] + outcomes[True, False], total),
        second=share(outcomes[True, True] + outcomes[False, True], total),
        test=mcnemar(gained=outcomes[False, True], lost=outcomes[True, False]),
        arms=arms,
        flips=tuple(flips),
    )


def describe(result: Judged) -> str:
    """What became of a request in a few words: the ending, the first faulty call, and what is wrong with the whole."""
    if not result.answered:
        return f"failed: {result.failure}"
    verdict = result.verdict
    faulty = next((call for call in verdict.calls if call.fault), None)
    wrong: list[str] = [f"{faulty.fault} {faulty.name}: {faulty.detail}"] if faulty else []
    wrong += [*verdict.faults, *(f"not judged: {reason}" for reason in verdict.unjudged)]
    said = "; ".join(wrong) or ", ".join(call.name for call in verdict.calls)
    return f"{result.finish_reason}: {said}" if said else str(result.finish_reason)


def durations_ms(results: Iterable[Judged]) -> dict[str, float]:
    """Median, 95th percentile and longest time of the answered requests, in milliseconds."""
    values = sorted(result.duration_ms for result in results if result.answered)
    if not values:
        return {}
    return {
        "median": statistics.median(values),
        "p95": values[min(len(values) - 1, round(0.95 * (len(values) - 1)))],
        "longest": values[-1],
    }


def usage(results: Iterable[Judged]) -> dict[str, int]:
    """Tokens that the server counted, K2VV's three sums: the total is what the server calls so, not a sum of ours."""
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    counts = Counter(dict.fromkeys(names, 0))
    for result in results:
        counts.update({name: getattr(result, name) or 0 for name in names})
    return dict(counts)


def right_among(results: Iterable[Judged], others: Iterable[Judged], reference: Mapping[int, Reference]) -> Share:
    """Of the requests of ``others``, for how many ``results`` call just what the reference calls."""
    right, wanted = same_as(reference), {other.data_index for other in others}
    found = [right(result) for result in results if result.data_index in wanted]
    return share(sum(found), len(found))


def same_as(reference: Mapping[int, Reference]) -> Callable[[Judged], bool]:
    """For :func:`compare`: right is what calls just what the reference calls, or like it does not call."""

    def right(result: Judged) -> bool:
        wanted = reference.get(result.data_index)
        ends_alike = wanted and (result.finish_reason == "tool_calls") == (wanted.finish_reason == "tool_calls")
        return bool(wanted and ends_alike and result.answered and result.calls == wanted.calls)

    return right


def _check_asked(result: Judged, messages: str, otherwise: str) -> None:
    if result.messages == messages:
        return
    if result.messages.startswith(RAW) != messages.startswith(RAW):
        otherwise = "one side has messages, the other a prompt as text: whether both ask the same cannot be told"
    raise InputError(f"data_index {result.data_index}: {otherwise}")


def failure_kind(failure: str | None) -> str:
    """How a stored failure begins, where that names a kind; ``other`` for the rest."""
    head, colon, _ = str(failure).partition(":")
    return head if head in FAILURE_KINDS or (colon and ERROR_TYPE.fullmatch(head)) else "other"


def f1_of(overlap: float) -> float:
    """F1 by the share TP / (TP + FP + FN).

    >>> f1_of(1 / 3), round(overlap_of(0.5), 6)
    (0.5, 0.333333)
    """
    return 2 * overlap / (1 + overlap)


def overlap_of(f1: float) -> float:
    """The share TP / (TP + FP + FN) by F1."""
    return f1 / (2 - f1)
