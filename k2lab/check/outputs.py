"""What is wrong with a raw output: each call as the reader found it, and what stands around the calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from k2lab import wire
from k2lab.chat import schemas_by_name
from k2lab.families import Family
from k2lab.findings import Finding
from k2lab.findings.schemas import schema_error
from k2lab.findings.texts import OTHER_SPELLINGS, repeats
from k2lab.legible import one_line
from k2lab.wire.bare import REASON as BARE
from k2lab.wire.bare import XTML_REASON as BARE_XTML
from k2lab.wire.channels import REASONING_CLOSES, REASONING_OPENS
from k2lab.wire.records import Call, Parsed

NO_SECTION = ("no section around the call", "no tools around the call")
LOST_MARKERS = (
    *("marker lost", "marker missing", "section end missing", "marker in the singular"),
    *("no channel is closed before the tools", "the response is not closed", "the tools are not", "the call is not"),
)
IN_REASONING = "the reasoning is not closed before the tools"
REWRITTEN = ("control character", "arguments encoded twice", "empty arguments read as {}")
OTHERS = {"section": OTHER_SPELLINGS, "xtml": re.compile(f"{OTHER_SPELLINGS.pattern}|{re.escape(wire.CALL_BEGIN)}")}
"""How calls of other formats begin, by the form of a family's own."""
SHOWN = 80

Tools = Sequence[Mapping[str, object]]


def of_output(
    text: str, tools: Tools | None, thinking: bool | None = None, family: Family | None = None
) -> Iterator[tuple[Finding, int]]:
    """Findings of what a model wrote, each with its place in the text; what is given as for :func:`k2lab.wire.parse`.

    >>> [one.code for one, _ in of_output("It is functions.now:0{} as asked", None)]
    ['O006']
    """
    parsed = wire.parse(text, tools, thinking=thinking, family=family)
    schemas = None if tools is None else schemas_by_name(tools)
    for call in parsed.calls:
        for name, told in _of_call(call, schemas, parsed.family.numbers_ids):
            yield Finding.of(name, "present", f"{_named(call)}: {told}"), call.start
    yield from _of_channels(parsed)
    yield from _of_texts(parsed)


def _of_call(
    call: Call, schemas: Mapping[str, Mapping[str, object]] | None, numbers_ids: bool
) -> Iterator[tuple[str, str]]:
    """The names of findings of one call, each with what is said; ``numbers_ids``: its family writes ids."""
    reason = call.reason
    if reason.startswith((BARE, BARE_XTML)):
        yield "markers_stripped", reason
        return
    if call.status in ("truncated", "malformed"):
        yield ("call_cut_off" if call.status == "truncated" else "malformed_call"), reason
        return
    said = [*_of_form(call, numbers_ids)]
    yield from ((name, reason or f"the id is {call.id[:SHOWN]!r}") for name in said)
    if not numbers_ids and call.status == "repaired" and not said and reason != IN_REASONING:
        yield "call_written_otherwise", reason
    yield from _of_meaning(call, schemas)


def _of_form(call: Call, numbers_ids: bool) -> Iterator[str]:
    """What the reader mended that has a name of its own."""
    if any(one in call.reason for one in NO_SECTION):
        yield "call_without_section"
    if numbers_ids and not wire.ID.fullmatch(call.id):
        yield "call_id_of_another_form"
    if any(lost in call.reason for lost in LOST_MARKERS):
        yield "call_markers_incomplete"
    if any(one in call.reason for one in REWRITTEN):
        yield "arguments_repaired"


def _of_meaning(call: Call, schemas: Mapping[str, Mapping[str, object]] | None) -> Iterator[tuple[str, str]]:
    if schemas is not None and call.name is not None and call.name not in schemas:
        yield "undeclared_tool", f"on offer: {', '.join(sorted(schemas)[:8]) or 'no tool'}"
    if call.status == "invalid_arguments":
        missing = "no arguments where" in call.reason
        no_object = "not an object" in call.reason
        yield (
            ("schema_violation" if missing else "arguments_no_object" if no_object else "arguments_not_json"),
            call.reason,
        )
    schema = (schemas or {}).get(call.name or "")
    if schema and call.usable and call.arguments is not None:
        judged, error = schema_error(schema, dict(call.arguments))
        if judged and error:
            yield "schema_violation", error


def _of_channels(parsed: Parsed) -> Iterator[tuple[Finding, int]]:
    """Calls that stand where the reasoning is still open, and reasoning that is open to the end."""
    is_open, calls, begun = False, iter(parsed.calls), 0
    for piece, text in zip(parsed.pieces, parsed.texts, strict=True):
        if piece.kind == "reasoning" or (piece.kind == "marker" and REASONING_OPENS.search(text)):
            is_open, begun = True, begun if is_open else piece.start
        if piece.kind == "marker" and REASONING_CLOSES.search(text):
            is_open = False
        if piece.kind == "call":
            call = next(calls, None)
            if is_open and call is not None:
                told = f"{_named(call)} stands before the reasoning is closed"
                yield Finding.of("call_within_reasoning", "present", told), piece.start
    if is_open and not parsed.calls:
        told = "it ends within the reasoning: an answer may stand there, or it was cut off"
        yield Finding.of("reasoning_not_closed", "present", told), begun


def _of_texts(parsed: Parsed) -> Iterator[tuple[Finding, int]]:
    others = OTHERS[parsed.family.wire]
    for piece, text in zip(parsed.pieces, parsed.texts, strict=True):
        if piece.kind == "stray" and text.strip():
            told = f"{one_line(text, SHOWN)!r} is no part of the answer"
            yield Finding.of("text_in_the_section", "present", told), piece.start
        found = others.search(text) if piece.kind in ("content", "reasoning") else None
        if found:
            told = f"{one_line(text[found.start() :], SHOWN)!r}"
            yield Finding.of("call_in_another_format", "present", told), piece.start + found.start()
    if repeats(parsed.content or ""):
        yield Finding.of("repetition_in_content", "present", "the same few characters over and over to the end"), 0


def _named(call: Call) -> str:
    return one_line(call.name or call.id or "a call", SHOWN)
