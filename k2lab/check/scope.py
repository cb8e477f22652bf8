"""What was looked for and is not there, and what a file cannot show: the catalogue beside what was found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from k2lab.check import prompts
from k2lab.check.records import Kind
from k2lab.families import Family
from k2lab.findings import CATALOGUE, Finding

SUBJECTS: Mapping[Kind, str] = {
    "conversation": "R",
    "request": "RT",
    "exchange": "RTA",
    "answer": "A",
    "stream": "AS",
    "output": "O",
    "tools": "T",
}
"""The subjects of the catalogue that a kind of file shows."""

OF_STREAMS = frozenset(
    {"stream_without_an_end", "empty_call_deltas", "call_delta_without_index", "event_not_readable"}
    | {"error_in_place_of_an_answer"}
)
OF_CALLS = frozenset({"undeclared_tool", "arguments_not_json", "arguments_no_object", "schema_violation"})
"""Of answers, and seen in a raw output as well."""

NEEDS_TOOLS = frozenset({"undeclared_tool", "schema_violation"})
NEEDS_REQUEST = frozenset(
    {"wrong_index", "calls_despite_tool_choice_none", "no_call_despite_tool_choice_required"}
    | {"no_call_despite_named_tool_choice", "another_tool_than_tool_choice_allows"}
    | {"several_calls_despite_parallel_tool_calls_false"}
)
NEEDS_MODEL = frozenset(
    {"reasoning_missing", "reasoning_under_another_name", "declaration_falls_back", "template_of_another_family"}
)


def not_found(
    kinds: Mapping[Kind, int], found: Collection[str], *, tools: bool, source: bool, family: Family | None
) -> Iterator[Finding]:
    """A finding, absent or unknown, for each of the catalogue that the kinds of a file show and that was not found.

    ``tools`` and ``source``: whether they are known; ``family``, where the model is named.

    >>> made = list(not_found({"output": 1}, {"malformed_call"}, tools=False, source=False, family=None))
    >>> [(one.code, one.state) for one in made][:2]
    [('A002', 'unknown'), ('A003', 'absent')]
    """
    subjects = "".join(SUBJECTS[kind] for kind in kinds)
    looked = sum(kinds.values())
    for name, entry in sorted(CATALOGUE.items(), key=lambda pair: pair[1].code):
        seen = entry.code[0] in subjects or (name in OF_CALLS and "output" in kinds)
        rendered = name in prompts.NAMES and "R" in subjects
        if name in found or not (seen or rendered):
            continue
        why = _unknown(name, kinds, tools=tools, source=source, family=family)
        told = why or f"looked for in {looked:,} {'parts' if looked > 1 else 'part'} of the file"
        yield Finding.of(name, "unknown" if why else "absent", told)


def _unknown(name: str, kinds: Mapping[Kind, int], *, tools: bool, source: bool, family: Family | None) -> str:
    """Why a file does not show whether a fault is there; empty where it does."""
    alone = not {"exchange"} & kinds.keys()
    if name in prompts.NAMES and not source:
        return "a rendering decides: give --source"
    if name in NEEDS_REQUEST and alone:
        return "the request is not in the file"
    if name in NEEDS_TOOLS and alone and not tools:
        return "the tools are not known: give --tools"
    if name in NEEDS_MODEL and family is None:
        return "it depends on the model: give --model"
    if CATALOGUE[name].code[0] == "S" and name not in OF_STREAMS:
        return "a server shows it, not a file: see k2lab probe"
    return ""
