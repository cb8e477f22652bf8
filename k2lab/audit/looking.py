"""The one function of an audit: from a table of exchanges to a table of findings, wherever it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from k2lab import jsonread
from k2lab.apis import Api
from k2lab.audit.tables import CODE, EXCHANGE, FINDINGS, LAYER, LEFT_OUT, LEVEL, OUTSIDE, completed
from k2lab.check.looking import Look
from k2lab.check.opening import value_of
from k2lab.check.otherapis import UnseenError
from k2lab.check.together import of_pair
from k2lab.errors import InputError, K2LabError
from k2lab.findings import Finding
from k2lab.legible import one_line

LACKS: Mapping[str, frozenset[str]] = {
    "request": frozenset(),
    "tools": frozenset(),
    "finish_reason": frozenset(
        {"no_finish_reason", "unknown_finish_reason", "no_calls", "calls_without_the_reason", "empty_answer"}
        | {"empty_but_for_reasoning", "no_call_despite_tool_choice_required", "no_call_despite_named_tool_choice"}
    ),
    "ids": frozenset({"malformed_id", "wrong_index", "foreign_call_id"}),
    "argument text": frozenset({"arguments_not_json", "arguments_no_object"}),
    "end": frozenset({"no_finish_reason", "stream_without_an_end"}),
    "its place in the sample": frozenset(),
}
"""What a form may not have kept, and the findings that are not judged without it.

Without the request the answer is looked at alone; without tools no call is said to be undeclared or to break a schema;
``argument text`` is what a form loses that keeps arguments decoded; ``end`` is lacking where the recorder or the client
cut an answer short. What a recorder kept for its findings alone has no place in its sample: it is in no share.
"""

SAMPLE = "its place in the sample"

LONGEST_EVIDENCE, LONGEST_PLACE = 300, 200

LOOK = Look()

SHARED = ("key", "source", "row", "item", "form", "at", "day", "model", "vendor", "lacks")


def findings_of(table: pa.Table, look: Look = LOOK) -> pa.Table:
    """Findings of exchanges: a :data:`~k2lab.audit.tables.FINDINGS` table from one of exchanges, in its order.

    Pure: no state, no files, the same in a process, on Ray, Spark or Dask. What
    ``k2lab check`` says of each exchange, with ``look`` as there. At least one row
    for each exchange: what could not be looked at is never taken for clean.

    >>> import pyarrow as pa
    >>> said = '{"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": ""}}]}'
    >>> asked = '{"model": "kimi-k2", "messages": [{"role": "user", "content": "Hi"}]}'
    >>> made = findings_of(pa.table({"request": [asked, asked], "answer": [said, "{"]}))
    >>> made.select(["row", "state", "code"]).to_pylist()[0]
    {'row': 1, 'state': 'present', 'code': 'A111'}
    >>> made["state"].to_pylist()
    ['present', 'unknown']
    """
    table = completed(table)
    made = _Columns()
    names = ("request", "answer", "sent", "api", "streamed", "lacks", "unknown")
    for index, values in enumerate(zip(*(table[name].to_pylist() for name in names), strict=True)):
        request, answer, sent, api, streamed, lacks, unknown = values
        if unknown is not None:
            made.untold(index, unknown)
        else:
            found, why = _looked((request, answer, sent), api, bool(streamed), lacks or "", look)
            made.exchange(index, found, why, outside=SAMPLE in (lacks or ""))
    return made.table(table)


class _Columns:
    """Rows of findings, by column."""

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.rows: list[tuple[str, str | None, str | None, str | None, str | None, str | None, str | None, int]] = []

    def untold(self, index: int, why: str) -> None:
        """Take a row that holds nothing to look at."""
        left_out = why.startswith(LEFT_OUT)
        state, evidence = ("left_out", why.removeprefix(LEFT_OUT)) if left_out else ("unknown", why)
        self._row(index, state, None, one_line(evidence, LONGEST_EVIDENCE), EXCHANGE)

    def exchange(self, index: int, found: list[Finding], unknown: str | None, *, outside: bool) -> None:
        """Take what was found in an exchange, and why it could not be looked at in full, if so."""
        firsts = OUTSIDE if outside else EXCHANGE
        if unknown is not None:
            self._row(index, "unknown", None, one_line(unknown, LONGEST_EVIDENCE), firsts)
        elif not found:
            self._row(index, "clean", None, None, firsts)
        if unknown is not None:
            firsts = 0
        seen: set[tuple[int, str]] = set()
        for finding in found:
            bits = firsts
            if unknown is None and not outside:
                for bit, value in ((CODE, finding.code), (LAYER, finding.layer), (LEVEL, finding.level)):
                    if (bit, value) not in seen:
                        seen.add((bit, value))
                        bits |= bit
            self._row(index, "present", finding, one_line(finding.evidence, LONGEST_EVIDENCE), bits)
            firsts = 0

    def _row(self, index: int, state: str, finding: Finding | None, evidence: str | None, firsts: int) -> None:
        told: tuple[Any, ...] = (None,) * 5
        if finding is not None:
            place = one_line(finding.place, LONGEST_PLACE)
            told = finding.code, finding.name, finding.layer, finding.level, place
        self.indices.append(index)
        self.rows.append((state, *told, evidence, firsts))

    def table(self, exchanges: pa.Table) -> pa.Table:
        shared = exchanges.select(SHARED).take(pa.array(self.indices, pa.int64()))
        names = ("state", "code", "name", "layer", "level", "place", "evidence", "firsts")
        columns = list(zip(*self.rows, strict=True)) or [()] * len(names)
        own = {name: pa.array(column, FINDINGS.field(name).type) for name, column in zip(names, columns, strict=True)}
        return pa.Table.from_arrays(
            [own[name] if name in own else shared[name] for name in FINDINGS.names], schema=FINDINGS
        )


Texts = tuple[bytes | None, bytes | None, bytes | None]
"""A request, its answer, and the request as the server got it."""


def _looked(texts: Texts, api: Api | None, streamed: bool, lacks: str, look: Look) -> tuple[list[Finding], str | None]:
    """What is wrong with an exchange, and why it could not be looked at in full."""
    missing = lacks.split(",") if lacks else []
    dropped = frozenset[str]().union(*(LACKS[name] for name in missing)) if missing else frozenset()
    found: list[Finding] = []
    try:
        for finding in _found(texts, api, streamed, missing, look):
            if finding.state == "present" and finding.name in look.names and finding.name not in dropped:
                found.append(finding)
    except jsonread.NotJSON as why:
        return found, f"not JSON: {why}"
    except UnseenError as why:
        return found, f"not all of it can be seen: {why}"
    except K2LabError as why:
        return found, f"cannot be read: {why}"
    return found, None


def _found(texts: Texts, api: Api | None, streamed: bool, lacks: list[str], look: Look) -> Iterator[Finding]:
    text, answer, sent = texts
    asked = None if text is None or "request" in lacks else value_of(text)
    if asked is not None and not isinstance(asked, Mapping):
        raise InputError("the request is no object")
    yield from of_pair(
        asked,
        None if answer is None else partial(str, answer, "utf-8", "replace") if streamed else partial(value_of, answer),
        api=look.api or api,
        sent=None if sent is None else partial(value_of, sent),
        streamed=streamed,
        model=look.model,
        tools=look.tools,
        family=look.family(asked),
        stored=True if "tools" in lacks else None,
    )
