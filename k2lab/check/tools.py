"""What is wrong with tools: what Moonshot's API refuses, a declaration cannot write, and a grammar cannot hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from k2lab import families, fastjson
from k2lab.chat import function_of, name_of
from k2lab.chat.checks import kind
from k2lab.check import unheld
from k2lab.check.places import joined, of_pointer
from k2lab.enforcer.schema import translate
from k2lab.errors import InputError
from k2lab.families import Family
from k2lab.findings import Finding
from k2lab.findings.schemas import schema_error
from k2lab.mfjs import ToolRefusal, refusals_of_tools
from k2lab.prompt.declaration import undeclarable
from k2lab.repairs import markers

CODES = {
    "tool_without_function": "not_a_tool",
    "name_missing": "not_a_tool",
    "name_not_in_id": "name_unfit_for_an_id",
    "name_cut": "name_unfit_for_an_id",
    "name_repeated": "repeated_tool_name",
}
"""Rules of :mod:`k2lab.mfjs.toolset` that have a finding of their own; those of the server are one."""

LAX = "Moonshot's validator refuses it at its default level, not at that which the API is said to use"


def of_tools(tools: object, family: Family | None, within: str = "") -> tuple[Finding, ...]:
    """Findings of a list of tools; places begin with ``tools``. ``family`` is ``None`` where it is not known.

    ``within`` is the place of that before which the tools stand, as ``request``.

    >>> [one.code for one in of_tools([{"type": "function", "function": {"name": "a b", "parameters": {}}}], None)]
    ['T001', 'T005']
    """
    if not isinstance(tools, list):
        told = f"the tools are {kind(tools)}, not a list"
        return (Finding.of("not_a_tool", "present", told, place=joined(within, "tools")),)
    return _of_list(fastjson.encoded(tools), None if family is None else family.name, within)


@lru_cache(maxsize=2048)
def _of_list(text: bytes, named: str | None, within: str) -> tuple[Finding, ...]:
    """By the text of the list: the tools of a conversation come again with each of its turns."""
    tools = json.loads(text)
    family = families.of_model(f"kimi-{named}") if named else None
    declares = "typescript" if family is None else family.declares
    found = [_of_refusal(refusal) for refusal in refusals_of_tools(tools)]
    found += _of_texts(tools, family or families.K2)
    for index, tool in enumerate(tools):
        found += _of_tool(f"tools[{index}]", tool, declares)
    present = [finding for finding in found if finding]
    ordered = sorted(present, key=lambda finding: _index(finding.place))
    return tuple(replace(finding, place=joined(within, finding.place)) for finding in ordered)


def _of_texts(tools: Sequence[Any], family: Family) -> Iterator[Finding]:
    """Markers in what a declaration prints."""
    for problem in markers.problems((), [tool for tool in tools if isinstance(tool, Mapping)], family):
        yield Finding.of(problem.finding, "present", problem.problem, place=problem.path, fix=problem.fix)


def _index(place: str) -> int:
    return int(place[place.find("[") + 1 : place.find("]")])


def _of_refusal(why: ToolRefusal) -> Finding | None:
    """What the API refuses; what its documentation alone asks for is no finding."""
    refusal = why.refusal
    place = joined(f"tools[{why.index}]", of_pointer(refusal.path))
    told = f"{why.tool or 'a tool without a name'}: {refusal.words}"
    if refusal.rule in CODES:
        return Finding.of(CODES[refusal.rule], "present", told, place=place)
    if refusal.by == "server":
        return Finding.of("refused_by_moonshot", "present", told, place=place)
    if refusal.by == "validator":
        return Finding.of("refused_by_moonshot", "unknown", f"{told} ({LAX})", place=place)
    return None


def _of_tool(place: str, tool: Any, declares: str | None) -> Iterator[Finding]:
    name = name_of(tool)
    if name is None:
        return
    if declares == "typescript":
        yield from _of_declaration(place, tool)
    schema, at = function_of(tool).get("parameters"), f"{place}.function.parameters"
    if schema is None:
        return
    judged, error = schema_error(schema, {})
    if not judged:
        yield Finding.of("broken_schema", "present", f"{name}: {error}", place=at)
    if not judged or not isinstance(schema, Mapping):
        return
    yield from _of_enforcer(name, at, schema)
    for path, words in unheld.passing(schema):
        yield Finding.of("not_held_by_vllm", "present", f"{name}: {words}", place=joined(at, of_pointer(path)))


def _of_declaration(place: str, tool: Mapping[str, Any]) -> Iterator[Finding]:
    try:
        unwritable: Sequence[Any] = undeclarable([dict(tool)])
    except (TypeError, ValueError, AttributeError):  # no tool that the tokenizer's code could read at all
        return
    for why in unwritable:
        told = f"{why.tool}: {why.reason} (K2.5, K2.6 and K2.7)"
        yield Finding.of("declaration_falls_back", "present", told, place=joined(place, of_pointer(why.path)))


def _of_enforcer(name: str, place: str, schema: Mapping[str, Any]) -> Iterator[Finding]:
    try:
        limits = translate(dict(schema), kind="object").limits
    except InputError as why:
        yield Finding.of("not_held_by_enforcer", "present", f"{name}: {why}", place=place)
        return
    for limit in limits:
        if limit.asserted:
            told = f"{name}: {limit.keyword}: {limit.reason}"
            yield Finding.of("not_held_by_enforcer", "present", told, place=joined(place, of_pointer(limit.path)))
