"""A history under the catalogue: what a repair would change, and what it could not, each as a finding at its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from k2lab.chat import Request
from k2lab.families import Family
from k2lab.findings.records import Finding
from k2lab.legible import one_line
from k2lab.repairs import Change, Problem, Repaired, repair
from k2lab.repairs.reasoning import missing, mode_of, unsure

BLOCKS = "blocks_of_another_api"
OF_BLOCKS = ("text_in_parts", "empty_content_beside_calls")
"""What is left of a content whose blocks were lifted out of it: no fault of its own."""

OF_IDS = frozenset(
    {"foreign_call_id", "repeated_call_id", "call_id_out_of_count", "call_without_id", "result_under_another_id"}
)
"""Findings that are about ids alone."""

SHOWN = 80
"""Characters of a value that are shown as evidence."""


def of_history(request: Request, *, model: str | None = None) -> tuple[Finding, ...]:
    """What is wrong with the messages of a request, in their order; places are those of ``request``.

    ``model`` is as for :func:`k2lab.repairs.repair`.

    >>> call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    >>> messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    >>> [finding.name for finding in of_history(k2lab.Request.of(messages))]
    ['foreign_call_id', 'call_without_result']
    """
    repaired = repair(request, model=model)
    found = [*_of_changes(repaired), *_of_problems(repaired)]
    return tuple(finding for _, finding in sorted(found, key=lambda pair: pair[0]))


def of_reasoning(request: Request, family: Family) -> tuple[Finding, ...]:
    """What is wrong with messages that keep their form (:func:`k2lab.repairs.soundness.keeps_form`): their reasoning.

    The same as :func:`of_history` says of them but for their tools, in a fraction of the time.
    """
    return tuple(map(_of_problem, missing(request, family)))


def of_doubts(request: Request, family: Family) -> tuple[Finding, ...]:
    """What may be wrong with messages and does not show in them, as ``unknown``: reasoning that may have been dropped.

    >>> turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    >>> [(one.name, one.state) for one in of_doubts(k2lab.Request.of(turns), k2lab.families.K3)]
    [('reasoning_missing', 'unknown')]
    """
    found = unsure(request.messages, mode_of(request, family))
    return tuple(Finding.of(one.finding, "unknown", one.problem, place=one.path) for one in found)


def _of_changes(repaired: Repaired) -> Iterator[tuple[int, Finding]]:
    """A finding for each change, but that one fault which takes several is told once for a message."""
    told: set[tuple[int | None, str]] = set()
    for change in repaired.changes:
        at = _origin(repaired, change.message)
        follows = change.field == "tool_call_id" and change.finding != "result_under_another_id"
        once = change.field != "tool_call_id" and change.field.startswith("tool_calls[")
        follows |= change.finding in OF_BLOCKS and (at, BLOCKS) in told
        if follows or (not once and (at, change.finding) in told):
            continue
        told.add((at, change.finding))
        yield _order(at), Finding.of(change.finding, "present", _evidence(change), place=_place(at, change.field))


def _of_problems(repaired: Repaired) -> Iterator[tuple[int, Finding]]:
    for problem in repaired.problems:
        at = None if problem.message is None else _origin(repaired, problem.message)
        place = problem.path
        if problem.message is not None and at is not None:
            place = problem.path.replace(f"messages[{problem.message}]", f"messages[{at}]", 1)
        yield _order(at), replace(_of_problem(problem), place=place)


def _of_problem(problem: Problem) -> Finding:
    return Finding.of(problem.finding, "present", problem.problem, place=problem.path, fix=problem.fix)


def _origin(repaired: Repaired, message: int) -> int | None:
    return repaired.origins[message]


def _order(at: int | None) -> int:
    return -1 if at is None else at


def _place(at: int | None, field: str) -> str:
    return "system" if at is None else f"messages[{at}].{field}"


def _evidence(change: Change) -> str:
    if change.before is None:
        return change.reason
    if change.field.endswith("id"):
        return f"{_shown(change.before)}, where the count of the conversation has {_shown(change.after)}"
    return f"{_shown(change.before)}: {change.reason}"


def _shown(value: object) -> str:
    return one_line(value if isinstance(value, str) else repr(value), SHOWN) or "''"
