"""What one answer is worth: K2-Vendor-Verifier's verdict, and a strict one with the cause of each fault.

A result that K2VV's own runner judged keeps that verdict. The strict one is
never given on what is not there: where a file holds the prompt as text, its
tools and history are unknown, and only what shows without them is a fault.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from k2lab import families, wire
from k2lab.chat import Exchange, ToolCall, decoded, function_of
from k2lab.families import Family
from k2lab.findings import answers
from k2lab.findings.answers import AnswerFault, Unjudged
from k2lab.findings.schemas import schema_error

CallFault = Literal[
    "no_name",
    "undeclared_tool",
    "arguments_not_json",
    "arguments_no_object",
    "schema_violation",
    "malformed_id",
    "wrong_index",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class CallVerdict:
    """One call: ``fault`` is the first thing wrong with it, ``unjudged`` why more than that cannot be said."""

    name: str
    fault: CallFault | None = None
    detail: str = ""
    unjudged: Unjudged | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One answer. ``k2vv_valid`` is what K2VV's runner writes as ``tool_calls_valid``: ``None`` is not asked."""

    k2vv_valid: bool | None
    calls: tuple[CallVerdict, ...]
    faults: tuple[AnswerFault, ...]
    """Of the answer as a whole."""
    unjudged: tuple[Unjudged, ...]
    """Why some of it cannot be judged: empty where all can."""
    cut_short: bool

    @property
    def sound(self) -> bool:
        """Whether it ends as it should and every call of it is declared, valid, rightly numbered and asked for."""
        whole = not (self.faults or self.unjudged or self.cut_short)
        return bool(self.calls) and whole and not any(call.fault for call in self.calls)

    @property
    def judged(self) -> bool:
        """Whether all of it can be judged."""
        return not self.unjudged


def judge(exchange: Exchange, *, stored: bool | None = None, family: Family | None = None) -> Verdict:
    """An answer against the tools, the history and the ``tool_choice`` of its request; never raises.

    ``stored`` is the verdict that K2VV's runner gave. Where that is valid and
    the request has no tools, they were left out of the file. A plain exchange
    was sent without its ``tool_choice``. ``family`` is the model's, by default as
    its name says: ids are judged where the family's calls have some.

    >>> tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
    >>> call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    >>> asked = {"messages": [{"role": "user", "content": "What time is it?"}], "tools": [tool]}
    >>> said = {"choices": [{"finish_reason": "tool_calls", "message": {"tool_calls": [call]}}]}
    >>> verdict = k2lab.judge(k2lab.Exchange.of(asked, said))
    >>> verdict.k2vv_valid, verdict.sound, verdict.calls[0].fault
    (True, False, 'malformed_id')
    """
    request, answer = exchange.request, exchange.answer
    left_out = answers.is_raw(request) or (stored is True and not request.tools)
    known = None if left_out else request.functions
    held = [_Held(call, known or {}) for call in answer.calls]
    whose = family or families.of_model(request.model or "") or families.UNKNOWN
    first = request.first_index if whose.numbers_ids else None
    calls = tuple(_call_verdict(one, known, None if first is None else first + n) for n, one in enumerate(held))
    reasons = (answers.unjudged(exchange, known), *(call.unjudged for call in calls))
    return Verdict(
        k2vv_valid=_k2vv_verdict(exchange, held) if stored is None else stored,
        calls=calls,
        faults=answers.faults(exchange),
        unjudged=tuple(dict.fromkeys(reason for reason in reasons if reason)),
        cut_short=answer.cut_short,
    )


class _Held:
    """A call beside the schema of its tool: decoded and held against it once, for both readings."""

    def __init__(self, call: ToolCall, tools: Mapping[str, Mapping[str, object]]) -> None:
        self.call = call
        self.schema = tools.get(call.name or "", {}).get("parameters")
        self.value, self.problem = decoded(call.arguments)
        self._found: tuple[bool, str] | None = None

    @property
    def found(self) -> tuple[bool, str]:
        """What :func:`schema_error` says."""
        if self._found is None:
            self._found = schema_error(self.schema, self.value)
        return self._found


def _call_verdict(held: _Held, tools: Mapping[str, Mapping[str, object]] | None, index: int | None) -> CallVerdict:
    """``tools`` is ``None`` where they and the history are not known; ``index`` is that of its id, if it has one."""
    call, name = held.call, held.call.name
    if name is None:
        return CallVerdict(name="", fault="no_name", detail=f"a call without a name: {str(call.raw)[:100]}")
    if tools is not None and name not in tools:
        return CallVerdict(name=name, fault="undeclared_tool", detail=f"declared: {', '.join(sorted(tools)) or 'none'}")
    fault, detail = _argument_fault(held)
    if fault:
        return CallVerdict(name=name, fault=fault, detail=detail)
    judged, error = (True, "") if held.schema is None else held.found
    if judged and error:
        return CallVerdict(name=name, fault="schema_violation", detail=error)
    fault, detail = _id_fault(call.id, name, index) if index is not None else (None, "")
    if tools is None:
        fault = fault if fault == "malformed_id" else None
        return CallVerdict(name=name, fault=fault, detail=detail if fault else "", unjudged="tools_not_in_the_file")
    if not judged:
        detail = f"the tool's schema is broken: {error}"
    return CallVerdict(name=name, fault=fault, detail=detail, unjudged=None if judged else "broken_schema")


def _argument_fault(held: _Held) -> tuple[CallFault | None, str]:
    if held.problem:
        return "arguments_not_json", held.problem
    if not isinstance(held.value, dict):
        return "arguments_no_object", f"arguments are {json.dumps(held.value)[:100]}"
    return None, ""


def _id_fault(value: object, name: str, index: int) -> tuple[CallFault | None, str]:
    match = wire.ID.fullmatch(value) if isinstance(value, str) else None
    if match is None or match["name"] != name:
        return "malformed_id", f"id {value!r} is not functions.{name}:IDX"
    if int(match["index"]) != index:
        return "wrong_index", f"id {value!r} does not run on from the history, which asks for {index}"
    return None, ""


def _k2vv_verdict(exchange: Exchange, calls: Sequence[_Held]) -> bool | None:
    if exchange.answer.finish_reason != "tool_calls" or not calls or answers.is_raw(exchange.request):
        return None
    return all(map(_k2vv_valid, calls))


def _k2vv_valid(held: _Held) -> bool:
    """K2VV's check of one call: a tool without parameters is never valid, a broken schema neither."""
    arguments = held.call.arguments
    absent = arguments is None and "arguments" not in function_of(held.call.raw)
    if not held.schema or absent or (held.problem and isinstance(arguments, str)):
        return False
    judged, error = held.found
    return judged and not error
