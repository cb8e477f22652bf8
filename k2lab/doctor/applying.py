"""Which findings a family cannot have, and why: what an examination does not look for, and says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from k2lab.families import Family

Reasons = Mapping[str, str]
"""Why a finding does not apply, by its name."""


def not_applying(family: Family | None) -> Reasons:
    """The findings of a server that this family cannot have, each with the reason; none where it is not known.

    >>> not_applying(k2lab.families.K3)["call_ids_not_taken_back"]
    "the ids of calls are no part of K3's prompts and outputs"
    """
    return dict(_reasons(family)) if family is not None else {}


def _reasons(family: Family) -> Iterator[tuple[str, str]]:
    whose = family.name
    if not family.numbers_ids:
        for name in ("call_ids_not_taken_back", "foreign_id_not_read"):
            yield name, f"the ids of calls are no part of {whose}'s prompts and outputs"
    if family.renders != "template":
        for name in ("content_printed_as_list", "tools_not_prepared", "arguments_rewritten"):
            yield name, f"{whose}'s prompts are made by code, which has its own form for contents, tools and arguments"
    if not family.reads_reasoning:
        for name in (
            "reasoning_not_replayed",
            "later_reasoning_streamed_as_content",
            "grammar_begins_behind_reasoning",
        ):
            yield name, f"{whose} does not reason before it answers"
    if not family.reads_reasoning or family.always_thinks:
        yield "thinking_switch_ignored", f"{whose} has no switch for thinking"
    if family.replays != "unanswered or all":
        yield "preserve_thinking_ignored", f"{whose} has no such switch"
    if not family.efforts:
        yield "effort_ignored", f"{whose} has no levels of thinking"
    if family.wire != "xtml":
        for name in ("call_in_reasoning_not_read", "grammar_begins_behind_reasoning"):
            yield name, "a text is dictated to reasoning in XTML alone"
