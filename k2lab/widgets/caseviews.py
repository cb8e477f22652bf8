"""How a benchmark's cases are shown: a line each in a list, a table on a saved page, one whole, two answers beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from k2lab import repairs
from k2lab.bench.again import Answered
from k2lab.bench.casebook import Case, Chosen, Pair, Right, Turn, Wanted
from k2lab.bench.records import Result
from k2lab.chat import Request
from k2lab.errors import K2LabError
from k2lab.findings import answers
from k2lab.findings.verdicts import Verdict, judge
from k2lab.legible import one_line
from k2lab.show import views
from k2lab.show.parts import View, escape, joined, line, note, table

RIGHT_WORDS: tuple[tuple[str, Right], ...] = (
    ("a valid call (k2vv)", "valid"),
    ("a sound call (strict)", "sound"),
    ("whether it calls", "calling"),
)
TURN_WORDS: tuple[tuple[str, Turn], ...] = (
    ("either way", "any"),
    ("right, then wrong", "lost"),
    ("wrong, then right", "gained"),
)

STYLE = (
    "<style>.k2-cases select, .k2-cases option { font-family: var(--jp-code-font-family, ui-monospace, monospace);"
    " font-size: 13px; }"
    " .k2 .beside { display: flex; flex-wrap: wrap; gap: 1.5em; } .k2 .beside > div { flex: 1 1 24em; min-width: 0; }"
    "</style>"
)
SAID, NAME = 90, 24
"""Characters of a case's outcome and of an arm's name in a list."""

VALUE = 200
"""Characters of a value that a repair changes."""

SPACE = "\u00a0"
"""An option of a list runs other spaces together."""


def words(fault: str) -> str:
    """A fault, or an ending, for a person."""
    return one_line(fault.replace("_", " ") if ": " in fault else fault, 60)


def name_of(case: Case) -> str:
    """Which case it is."""
    trial = f", trial {case.trial}" if case.trial else ""
    return f"{_cut(case.arm, NAME)}, request {case.data_index}{trial}"


def told(wanted: Wanted) -> str:
    """The filters in words."""
    parts = [f"arm {wanted.arm}" if wanted.arm else "every arm"]
    parts += [f"ending {wanted.ending}"] if wanted.ending else []
    parts += [words(wanted.fault)] if wanted.fault else []
    if wanted.against:
        right, turn = (_word(known, value) for known, value in ((RIGHT_WORDS, wanted.right), (TURN_WORDS, wanted.turn)))
        parts.append(f"flips with {wanted.against} in {right}, {turn}")
    return "; ".join(one_line(part, 200) for part in parts)


def counted(chosen: Chosen, page: int, pages: int) -> str:
    """How many cases there are."""
    count = len(chosen.pairs)
    left_out = f"; {chosen.unpaired:,} were asked something else and are left out" if chosen.unpaired else ""
    return f"{count:,} case{'s' * (count != 1)}, page {page + 1} of {pages}{left_out}"


def list_options(pairs: Sequence[Pair], wanted: Wanted) -> list[tuple[str, int]]:
    """A line for each case, for a list."""
    return [(_option(pair, wanted), place) for place, pair in enumerate(pairs)]


def page_table(pairs: Sequence[Pair], wanted: Wanted) -> View:
    """The same as a table."""
    return table([_row(pair, wanted) for pair in pairs], "cases")


def case(pair: Pair, result: Result, answered: Answered | None) -> Iterator[View]:
    """One case: what it is, its transcript, its findings, and the answers where it was sent again."""
    exchange = result.exchange
    yield _heading(f"{name_of(pair.case)}: {pair.case.ending}")
    if pair.other:
        yield line(f"{_cut(pair.other.arm, NAME)} has: {pair.other.said}")
    yield views.request(exchange.request, "What was asked")
    yield fault_table(judge(exchange), history_of(result), result.failure)
    if answered is None:
        yield views.answer(exchange.answer, "What came")
    else:
        stored = joined(views.answer(exchange.answer), fault_table(judge(exchange), (), result.failure))
        yield sent_again_beside(stored, answered)


def sent_again_beside(stored: View, answered: Answered) -> View:
    """The stored answer, and beside it the one that came when it was sent again."""
    return _beside(joined(_heading("Stored answer"), stored), joined(_heading("Sent again"), _of(answered)))


def fault_table(verdict: Verdict | None, history: Sequence[Mapping[str, str]], failure: str | None) -> View:
    """What is wrong with an answer, strictly, and with the history that it was given."""
    rows = [_fault("request", failure)] if failure else list(_of_verdict(verdict)) if verdict else []
    rows += history
    return table(rows, "Findings") if rows else line("✓ Nothing is wrong with it.")


def _of_verdict(verdict: Verdict) -> Iterator[Mapping[str, str]]:
    for place, call in enumerate(verdict.calls):
        if call.fault:
            yield _fault(f"call {place}, {call.name}", call.fault.replace("_", " "), call.detail)
    for where, names in (("answer", verdict.faults), ("not judged", verdict.unjudged)):
        for name in names:
            yield _fault(where, name.replace("_", " "), answers.WORDS.get(name, ""))
    if verdict.cut_short:
        yield _fault("answer", "cut short", "it did not end by itself")


def _fault(where: str, what: object, detail: object = "") -> Mapping[str, str]:
    return {"where": where, "what is wrong": str(what), "detail": str(detail)}


def _value(value: object) -> str:
    return one_line(repr(value), VALUE)


def history_of(result: Result) -> list[Mapping[str, str]]:
    """What a repair would change in the history as it was sent, and what it could not mend."""
    try:
        request = Request.of(result.request.get("messages") or [], result.request.get("tools"))
        repaired = repairs.repair(request, model=str(result.request.get("model") or "") or None)
    except K2LabError as error:
        return [_fault("history", "it cannot be read", error)] if result.request.get("messages") else []
    return [
        *(
            _fault(
                f"history, message {change.message}, {change.field}",
                change.reason,
                f"{_value(change.before)} → {_value(change.after)} repaired",
            )
            for change in repaired.changes
        ),
        *(_fault(f"history, {problem.path}", problem.problem, problem.fix) for problem in repaired.problems),
    ]


def came(answered: Answered) -> str:
    """What came, in a line."""
    if answered.failure:
        return answered.failure
    answer, verdict = answered.exchange.answer, answered.verdict
    called = ", ".join(str(call.name) for call in answer.calls) or "no call"
    sound = ", sound" if verdict and verdict.sound else ""
    return f"{answer.finish_reason}: {called}{sound}, {answered.duration_ms:.0f} ms"


def _of(answered: Answered) -> View:
    shown = [line(answered.failure)] if answered.failure else [views.answer(answered.exchange.answer)]
    found = [fault_table(answered.verdict, (), None)] if answered.verdict else []
    changed = [views.changes(answered.changes)] if answered.changes else []
    return joined(*shown, *found, *changed, note(f"{answered.duration_ms:.0f} ms"))


def _beside(left: View, right: View) -> View:
    html = f'<div class="beside"><div>{left.html}</div><div>{right.html}</div></div>'
    return View(html=html, text=f"{left.text}\n\n{right.text}")


def _heading(words: str) -> View:
    said = one_line(words)
    return View(html=f"<h4>{escape(said)}</h4>", text=said)


def _option(pair: Pair, wanted: Wanted) -> str:
    case = pair.case
    arm = "" if wanted.arm else f"{_cut(case.arm, NAME):<{NAME}}  "
    trial = f".{case.trial}" if case.trial else ""
    other = f"  ⇄ {_cut(pair.other.said, SAID)}" if pair.other else ""
    mark = "✗" if case.faults else "✓"
    text = f"{case.data_index:>6}{trial:<3} {mark} {arm}{_cut(case.said, SAID)}{other}"
    return text.replace(" ", SPACE)


def _cut(text: str, most: int) -> str:
    """The beginning of a line: in a list what lines differ in stands there."""
    said = one_line(text)
    return said if len(said) <= most else f"{said[: most - 1]}…"


def _row(pair: Pair, wanted: Wanted) -> dict[str, object]:
    case = pair.case
    row: dict[str, object] = {} if wanted.arm else {"arm": case.arm}
    row |= {"request": case.data_index, "trial": case.trial, "what became of it": case.said}
    return row | ({f"with {pair.other.arm}": pair.other.said} if pair.other else {})


def _word(known: Sequence[tuple[str, str]], value: str) -> str:
    return next(word for word, name in known if name == value)
