"""Whether what leaked into a text is calls for sure, and the calls that it then is.

Each must be closed, name a declared tool in its id, hold arguments that are the
strict JSON of an object valid under the tool's schema, and be asked for by
``tool_choice``. Where one of them is not so, none is made a call, and the text
stays what it was. Nothing is salvaged where the texts that the model was given
hold a marker of calls themselves: it may be quoting them, and what a web page or
a tool's result says is no call of the model's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from k2lab import families, wire
from k2lab.chat import Request
from k2lab.families import K2
from k2lab.findings.schemas import schema_error
from k2lab.traffic.guard.ids import Ids
from k2lab.traffic.guard.splicing import dumped
from k2lab.wire import arguments
from k2lab.wire.records import MARKER
from k2lab.wire.xtml import tags

ENDED = ("stop", "tool_calls")
AROUND = frozenset(
    ("the reasoning is not closed before the tools", "the response is not closed before the tools",
     "no tools around the call", "the tools are not closed")
)  # fmt: skip
"""What may be odd about where an XTML call stands: a server that read it right would not have leaked it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """How calls of a form are told: ``sign`` begins each marker; ``names``, ``is_sure`` and ``is_closed`` judge."""

    markers: re.Pattern[str]
    sign: str
    call_begin: str
    call_end: str
    is_closed: Callable[[str], bool]
    names: Callable[[wire.Call, str], bool]
    is_sure: Callable[[wire.Call], bool]


FORMS: Mapping[str, _Form] = {
    "section": _Form(
        markers=MARKER,
        sign="<|tool_call",
        call_begin=wire.CALL_BEGIN,
        call_end=wire.CALL_END,
        is_closed=lambda text: text.endswith((wire.SECTION_END, "<|tool_call_section_end|>")),
        names=lambda call, name: name in "".join(call.id.split()),
        is_sure=lambda call: True,
    ),
    "xtml": _Form(
        markers=tags.MARKER,
        sign="<|open|>",
        call_begin="<|open|>call ",
        call_end=tags.close_tag("call"),
        is_closed=lambda text: not text.endswith(tags.close_tag("call")),
        names=lambda call, name: True,
        is_sure=lambda call: not call.reason or set(call.reason.split("; ")) <= AROUND,
    ),
}
"""By the form that a family's record names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SalvagedCall:
    """A call as an answer has it."""

    id: str
    name: str
    arguments: str

    def to_json(self) -> dict[str, object]:
        """In the chat API's form."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True, kw_only=True, slots=True)
class SalvageVerdict:
    """The calls that a text is, with the white space behind them, which is text; or why it is none."""

    calls: tuple[SalvagedCall, ...] = ()
    rest: str = ""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Salvage:
    """What calls are held against: the request that was sent, the ids that its client knows, and the model's name."""

    request: Request
    ids: Ids
    model: str | None = None

    @property
    def may_be(self) -> bool:
        """Whether any call can come of an answer to this request."""
        return bool(self.request.tools) and self.request.choice.mode not in ("none", "unknown")

    def verdict(self, held: str, finish_reason: object) -> SalvageVerdict:
        """What a text is from its first marker on, for an answer that ended for that reason."""
        family = wire.of_output(held) or K2
        asked = families.of_model(self.model or "")
        if asked is not None and asked.wire != family.wire:
            return SalvageVerdict(why=f"it is a call as {family.name} writes them, and {asked.name} was asked")
        form = FORMS[family.wire]
        *_, last = form.markers.finditer(held)
        closed = form.is_closed(held[: last.end()]) if finish_reason == "length" else finish_reason in ENDED
        if not closed:
            return SalvageVerdict(why=f"the answer ended by {finish_reason!r:.40}")
        rest = held[last.end() :]
        if rest.strip():
            return SalvageVerdict(why="text follows it")
        if self._is_quoting(form.sign):
            return SalvageVerdict(why="the request's own texts hold a marker of calls, which the model may be quoting")
        found = wire.parse(held, self.request.tools, thinking=False, family=family)
        faults = [fault for call in found.calls if (fault := self._fault(call, form))]
        if faults or not found.calls or len(found.calls) != held.count(form.call_end):
            return SalvageVerdict(why=faults[0] if faults else "it is no whole call")
        if len(found.calls) > 1 and self.request.parameters.get("parallel_tool_calls") is False:
            return SalvageVerdict(why="several calls despite parallel_tool_calls false")
        made = tuple(self._made(call, place) for place, call in enumerate(found.calls))
        return SalvageVerdict(calls=made, rest=rest)

    @cached_property
    def _given(self) -> str:
        """What the model was given and did not write, as text."""
        given = [message for message in self.request.messages if message.get("role") != "assistant"]
        return dumped([given, self.request.tools])

    def _is_quoting(self, sign: str) -> bool:
        """Whether a marker stands in what the model was given."""
        return sign in self._given

    def _fault(self, call: wire.Call, form: _Form) -> str:
        """Why something is not surely a call, in words without contents; empty where it is."""
        tools, choice = self.request.functions, self.request.choice
        name = call.name
        if name is None or name not in tools or not form.names(call, name):
            return "it names no declared tool"
        if choice.allowed is not None and name not in choice.allowed:
            return f"tool_choice does not allow {name}"
        if not (call.usable and call.raw.startswith(form.call_begin) and call.raw.endswith(form.call_end)):
            return "it is no whole call"
        if not form.is_sure(call):
            return "it can be read in more than one way"
        return _argument_fault(name, call.arguments_raw.strip(), tools[name].get("parameters"))

    def _made(self, call: wire.Call, place: int) -> SalvagedCall:
        name = str(call.name)
        made = self.ids.fresh(wire.call_id(name, self.request.first_index + place))
        return SalvagedCall(id=made, name=name, arguments=call.arguments_raw.strip())


def _argument_fault(name: str, text: str, schema: object) -> str:
    read = arguments.decode(text)
    if not isinstance(read.value, Mapping) or read.stop != len(text) or read.repaired:
        return f"the arguments of {name} are not the JSON of an object"
    judged, error = (True, "") if schema is None else schema_error(schema, read.value)
    if not judged:
        return f"the schema of {name} is broken"
    return f"the arguments of {name} are not valid" if error else ""
