"""Calls and results of a history: which result answers which call, and what is out of place.

A result is meant to stand in the run of tool messages that directly follows the
message with its call. It is paired by the id that was sent, then by the id that
its call gets here; only what is left over in such a run is paired by a name, and
then by order, and only where as many results as calls are left. Ids of paired
results are those of their calls, which are different from each other, so that a
repaired history pairs again as it did: repairing it twice changes nothing more.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from k2lab import wire
from k2lab.chat import Message
from k2lab.repairs.records import Editor, Problem

NAMING_ID = re.compile(r"(?:functions\.)?(?P<name>[\w.-]+):\d{1,9}")
"""An id that names a tool, such as ``functions.search:3`` or ``search:3``."""

MOST_NAMED = 64
"""Calls of one id that are looked at, on each side of a result that is out of place: keeps time linear."""


@dataclass(eq=False)
class PairedCall:
    """A call of the history: where it stands, its id as sent, and the id that it gets."""

    message: int
    place: int
    name: str
    old: object
    new: object
    results: list[int] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Its JSON path."""
        return f"messages[{self.message}].tool_calls[{self.place}]"


Index = Mapping[object, list[PairedCall]]


@dataclass
class Pairing:
    """The calls in order, and for each result (by its message index) its call and how it was found."""

    calls: list[PairedCall]
    found: dict[int, tuple[PairedCall, str] | None]
    runs: dict[int, int]
    """For each result, the calling message whose run of tool messages it stands in."""

    @cached_property
    def by_message(self) -> Mapping[int, list[PairedCall]]:
        """The calls of each message."""
        found: defaultdict[int, list[PairedCall]] = defaultdict(list)
        for call in self.calls:
            found[call.message].append(call)
        return dict(found)

    @cached_property
    def by_id(self) -> tuple[Index, Index]:
        """All calls by the ids that they came with, and by those that they get."""
        return _by(self.calls, "old"), _by(self.calls, "new")

    @cached_property
    def answers(self) -> Mapping[PairedCall, int | None]:
        """For each call the result that answers it: the first in its own run, else the first of all."""
        own = {call: [at for at in call.results if self.runs.get(at) == call.message] for call in self.calls}
        return {call: min(results or call.results, default=None) for call, results in own.items()}


def renumber(editor: Editor, *, growing: bool = False) -> None:
    """Give calls the ids ``functions.NAME:IDX`` counted over the conversation, and results their calls' ids."""
    made = pair(editor.messages, renumbered=True, growing=growing)
    shared = {old for old, calls in _by(made.calls, "old").items() if len(calls) > 1}
    for call in made.calls:
        if call.old != call.new:
            editor.messages[call.message]["tool_calls"][call.place]["id"] = call.new
            reason, finding = "ids count over the conversation", _id_finding(call, shared)
            editor.note(call.message, f"tool_calls[{call.place}].id", call.old, call.new, reason, finding)
    for result, target in made.found.items():
        if target and editor.messages[result].get("tool_call_id") != target[0].new:
            called = target[0].old == editor.messages[result].get("tool_call_id")
            finding = _id_finding(target[0], shared) if called else "result_under_another_id"
            editor.set(result, "tool_call_id", target[0].new, target[1], finding)


def _id_finding(call: PairedCall, shared: Collection[object]) -> str:
    """Which fault an id has that is not the one its call gets."""
    if not isinstance(call.old, str) or not call.old:
        return "call_without_id"
    match = wire.ID.fullmatch(call.old)
    if match is None or match["name"] != call.name:
        return "foreign_call_id"
    return "repeated_call_id" if call.old in shared else "call_id_out_of_count"


def pair(messages: Sequence[Message], *, renumbered: bool, growing: bool = False) -> Pairing:
    """Pair results with calls; without ``renumbered`` calls keep their ids, and an id alone pairs.

    ``growing``: each run of results is paired by what stands up to its end, so
    that what comes later in a conversation pairs no earlier result otherwise.
    """
    calls = list(_calls(messages, renumbered))
    results = [index for index, message in enumerate(messages) if message["role"] == "tool"]
    made = Pairing(calls, dict.fromkeys(results), dict(_runs(messages)))
    for group in _by_run(made) if growing else [results]:
        _by_id_in_run(made, messages, group)
        _by_id_anywhere(made, messages, group, ahead=not growing)
        if renumbered:
            _left_over(made, messages, group)
    return made


def problems(messages: Sequence[Message], *, renumbered: bool) -> Iterator[Problem]:
    """Calls without a result; results without a call, in a wrong place, or for a call that has one."""
    made = pair(messages, renumbered=renumbered)
    if not renumbered:
        yield from _shared_ids(made)
    for call in made.calls:
        if not call.results:
            fix = f"put a tool message with tool_call_id {call.old!r} behind messages[{call.message}], or take it out"
            problem = f"no result answers this call of {call.name}"
            yield Problem(message=call.message, path=call.path, problem=problem, fix=fix, finding="call_without_result")
    for result, target in made.found.items():
        fault = _fault(made, messages, result, target[0] if target else None)
        if fault:
            problem, fix, finding = fault
            yield Problem(message=result, path=f"messages[{result}]", problem=problem, fix=fix, finding=finding)


def _calls(messages: Iterable[Message], renumbered: bool) -> Iterator[PairedCall]:
    count = 0
    for index, message in enumerate(messages):
        for place, call in enumerate(message.get("tool_calls") or ()):
            name, old = call["function"]["name"], call.get("id")
            yield PairedCall(index, place, name, old, wire.call_id(name, count) if renumbered else old)
            count += 1


def _runs(messages: Iterable[Message]) -> Iterator[tuple[int, int]]:
    caller: int | None = None
    for index, message in enumerate(messages):
        if message["role"] != "tool":
            caller = index if message.get("tool_calls") else None
        elif caller is not None:
            yield index, caller


def _by(calls: Iterable[PairedCall], which: str) -> Index:
    index: dict[object, list[PairedCall]] = defaultdict(list)
    for call in calls:
        value = getattr(call, which)
        if isinstance(value, str) and value:
            index[value].append(call)
    return index


def _take(made: Pairing, result: int, call: PairedCall, how: str) -> None:
    made.found[result] = (call, how)
    call.results.append(result)


def _by_run(made: Pairing) -> Iterator[list[int]]:
    """The results of each run together, and each of no run by itself, in order."""
    for _, group in groupby(made.found, key=lambda result: made.runs.get(result, -result - 1)):
        yield list(group)


def _by_id_in_run(made: Pairing, messages: Sequence[Message], group: Sequence[int]) -> None:
    """Results that name a call of the message before them: the first of that id without a result, else the last."""
    callers = dict.fromkeys(made.runs[result] for result in group if result in made.runs)
    meant = {caller: made.by_message[caller] for caller in callers}
    indexes = {caller: (_by(calls, "old"), _by(calls, "new")) for caller, calls in meant.items()}
    for result in group:
        for index in indexes.get(made.runs.get(result, -1), ()):
            named = index.get(_id(messages[result]), ())
            if named:
                _take(made, result, next((c for c in named if not c.results), named[-1]), "follows its call")
                break


def _by_id_anywhere(made: Pairing, messages: Sequence[Message], group: Sequence[int], *, ahead: bool) -> None:
    """Results that name a call of another message: best an earlier one without a result, the latest of them."""
    for result in group:
        if made.found[result]:
            continue
        named = [_around(index.get(_id(messages[result]), ()), result) for index in made.by_id]
        earlier = [call for before, _ in named for call in reversed(before)]
        open_ones = [call for call in earlier if not call.results]
        later = [call for _, behind in reversed(named) for call in behind if ahead and not call.results]
        for call in (*_first_places(open_ones), *later, *earlier):
            _take(made, result, call, "follows its call")
            break


def _around(named: Sequence[PairedCall], result: int) -> tuple[Sequence[PairedCall], Sequence[PairedCall]]:
    """Of the calls of one id those that stand before a result, and those behind it: the nearest."""
    at = bisect_left(named, result, key=lambda call: call.message)
    return named[max(0, at - MOST_NAMED) : at], named[at : at + MOST_NAMED]


def _first_places(calls: Sequence[PairedCall]) -> list[PairedCall]:
    """Of calls, the latest first, those of the first one's message, in their order there."""
    return sorted((call for call in calls if call.message == calls[0].message), key=lambda call: call.place)


def _left_over(made: Pairing, messages: Sequence[Message], group: Sequence[int]) -> None:
    """In each run, pair by name and then by order, where as many results as calls are left."""
    results: dict[int, list[int]] = defaultdict(list)
    for result in group:
        if result in made.runs and not made.found[result]:
            results[made.runs[result]].append(result)
    for caller, left in results.items():
        calls = [call for call in made.by_message[caller] if not call.results]
        _left_over_in_run(made, calls, {result: _name(messages[result]) for result in left})


def _left_over_in_run(made: Pairing, calls: list[PairedCall], names: Mapping[int, str | None]) -> None:
    for name in dict.fromkeys(call.name for call in calls):
        named = [result for result, said in names.items() if said == name]
        meant = [call for call in calls if call.name == name]
        if len(named) == len(meant):
            _zip(made, named, meant, "missing or unknown id: the call of the tool that it names")
    calls = [call for call in calls if not call.results]
    ambiguous = {said for result, said in names.items() if not made.found[result]} & {call.name for call in calls}
    nameless = [result for result, said in names.items() if said is None]
    if len(nameless) == len(calls) and not ambiguous:
        _zip(made, nameless, calls, "missing or unknown id: as many results as calls are left, in their order")


def _zip(made: Pairing, results: Sequence[int], calls: Sequence[PairedCall], how: str) -> None:
    for result, call in zip(results, calls, strict=True):
        _take(made, result, call, how)


def _id(result: Message) -> object:
    value = result.get("tool_call_id")
    return value if isinstance(value, str) else None


def _name(result: Message) -> str | None:
    """The tool that a result names: in its ``name``, or in its id."""
    if isinstance(result.get("name"), str) and result["name"]:
        return str(result["name"])
    match = NAMING_ID.fullmatch(str(_id(result) or ""))
    return match["name"] if match and not match["name"].isdigit() else None


def _shared_ids(made: Pairing) -> Iterator[Problem]:
    """Where ids stay as they are, those that cannot tell calls of one message apart."""
    seen: set[tuple[int, str]] = set()
    for call in made.calls:
        fix = "give each call of a message an id of its own, and its result the same"
        if not isinstance(call.old, str) or not call.old:
            yield Problem(
                message=call.message,
                path=f"{call.path}.id",
                problem=f"the call of {call.name} has no id",
                fix=fix,
                finding="call_without_id",
            )
        elif (call.message, call.old) in seen:
            yield Problem(
                message=call.message,
                path=f"{call.path}.id",
                problem=f"another call of this message has the id {call.old!r}",
                fix=fix,
                finding="repeated_call_id",
            )
        else:
            seen.add((call.message, call.old))


def _fault(
    made: Pairing, messages: Sequence[Message], result: int, call: PairedCall | None
) -> tuple[str, str, str] | None:
    """What is wrong with the place of a result, what to do, and which finding that is."""
    wanted = messages[result].get("tool_call_id")
    if call is None:
        left = [c.name for c in made.calls if c.message == made.runs.get(result) and not c.results]
        named = f"this result (id {wanted!r})"
        which = f"nothing says which call {named} answers, of {', '.join(left)}"
        fix = "give it the id of its call, or take it out"
        return which if left else f"no call is left that {named} could answer", fix, "result_without_call"
    if made.answers[call] != result:
        fix = f"keep one of it and messages[{made.answers[call]}]"
        return f"a second result for the call {call.path}", fix, "second_result"
    if made.runs.get(result) == call.message:
        return None
    fix = f"move it directly behind messages[{call.message}]"
    if call.message > result:
        return f"this result stands before its call {call.path}", fix, "result_out_of_place"
    between = next(i for i in range(call.message + 1, result) if messages[i]["role"] != "tool")
    role = messages[between]["role"]
    said = f"messages[{between}] ({role}) stands between this result and its call {call.path}"
    return said, fix, "result_out_of_place"
