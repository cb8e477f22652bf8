"""The parser lab: recorded outputs through every parser at hand, each judged against what is expected.

Asked are the Kimi parsers of each installed vLLM, in that engine's interpreter,
with the whole text and with one and seven tokens at a time; ``derender`` of a
running server; and :mod:`k2lab.wire`. An output of a family that thinks goes
through the reasoning parser first, as a server started with both has it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from k2lab import engine, files, jsonread, paths, wire
from k2lab.chat import ToolCall, canonical, name_of
from k2lab.engine import warm
from k2lab.engine.variables import environment
from k2lab.errors import EndpointError, EngineError, InputError, first_line
from k2lab.families import K2, Family, named
from k2lab.families.special import GENERATION_PROMPT
from k2lab.prompt.source import Source
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.server.endpoint import Endpoint
from k2lab.stats import Share, share

Outcome = Literal["right", "wrong", "lost", "leaked", "not asked"]

CHUNKS: Mapping[int, str] = {0: "whole", 1: "1 token", 7: "7 tokens"}
"""Tokens fed at a time; more than one arrive together under load or with speculative decoding."""

K3_PROMPT = '<|open|>message role="assistant"<|sep|><|open|>think<|sep|>'
"""How a prompt of K3 ends where it thinks. Source: ``encoding_k3.py`` of its checkpoint."""

WORKER = Path(engine.__file__).with_name("parser_worker.py")
TIMEOUT_S = 300.0

CPU_S, MEMORY = 30, 2 << 30
"""Processor time for one output, and for reading the folder; bytes of memory beside the engine's own."""


CATALOGUES = {"k2": "failures.jsonl", "thinking": "failures-thinking.jsonl", "k3": "failures-k3.jsonl"}
"""The catalogues that come with k2lab, by name: K2's calls, reasoning and calls of K2-Thinking to K2.7, K3's."""

MARKS = ("<|tool_call", "<think>", "</think>", "<|open|>", "<|close|>", "<|sep|>")
"""What stands in no text that a server should return."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One output of the catalogue, with the tools on offer and what a good parser answers.

    ``reasoning``: ``None`` where it is not judged. Of a family that thinks the
    output begins inside the reasoning, as its prompt leaves it.
    """

    case_id: str
    what: str
    source: tuple[str, ...]
    raw_output: str
    tools: tuple[Mapping[str, Any], ...]
    status: str
    calls: tuple[ToolCall, ...]
    content: str | None
    reasoning: str | None = None
    family: Family = K2
    prompt: str = ""
    """What stands before the output; where that is empty, the end of a prompt of the family."""

    @property
    def thinks(self) -> bool:
        """Whether a server reads it with a reasoning parser first."""
        return self.family.reads_reasoning


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a parser made of an output. ``differs``: fed in chunks, it says something else than for the whole."""

    case_id: str
    column: str
    outcome: Outcome
    content: str | None = None
    calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None
    detail: str = ""
    differs: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain data; a call is ``[name, arguments]``, the arguments decoded where they are JSON."""
        calls = [[call.name, call.arguments if call.problem else call.value] for call in self.calls]
        return {name: getattr(self, name) for name in self.__slots__} | {"calls": calls}


def catalogue(path: Path | str | None = None) -> list[Failure]:
    """The failures of one of :data:`CATALOGUES` (K2's, unless named), or of another file of the same form.

    A line is a JSON object with ``id``, ``raw_output``, ``tools`` and
    ``expected`` (``calls`` of ``name`` and ``arguments``, ``content``); ``what``,
    ``source``, ``family`` (``K2-Thinking``, ``K3``; ``K2`` otherwise), ``prompt``,
    ``expected.reasoning`` (not judged then) and ``expected.status`` may be left
    out. Raises :class:`InputError` with file, line and cause where a line is none.

    >>> [failure.case_id for failure in catalogue("thinking")][:2]
    ['reasoning, then a call', 'reasoning, then an answer']
    """
    own = CATALOGUES.get(str(path or next(iter(CATALOGUES))))
    path = Path(str(path)) if own is None else paths.data_dir() / own
    failures: dict[str, Failure] = {}
    for number, line in files.lines(path, "the catalogue"):
        try:
            failure = failure_of(line)
            _refuse_twice(failure.case_id, failures)
        except ValueError as error:
            raise InputError(f"the catalogue {path} is not as expected: line {number}: {error}") from error
        failures[failure.case_id] = failure
    if not failures:
        raise InputError(f"the catalogue {path} is empty: it wants one JSON object a line (k2lab parsers --help)")
    return list(failures.values())


def grade(failure: Failure, content: str | None, calls: Sequence[ToolCall], reasoning: str | None = None) -> Outcome:
    """Right: the expected calls (:func:`k2lab.chat.canonical`), content and, where it is judged, reasoning.

    White space around texts is set aside. Leaked: markers stand in a text that
    should have none. Lost: fewer calls than were written.
    """
    same = _same(content, failure.content) and (failure.reasoning is None or _same(reasoning, failure.reasoning))
    if same and canonical(calls) == canonical(failure.calls):
        return "right"
    told = [(content, failure.content), *([(reasoning, failure.reasoning)] if failure.thinks else [])]
    if any(mark in (said or "") and mark not in (wanted or "") for said, wanted in told for mark in MARKS):
        return "leaked"
    return "lost" if len(calls) < len(failure.calls) else "wrong"


def _same(one: str | None, other: str | None) -> bool:
    return (one or "").strip() == (other or "").strip()


def right(answers: Iterable[Reading]) -> dict[str, Share]:
    """Share of right answers by column."""
    totals, good = Counter[str](), Counter[str]()
    for answer in answers:
        if answer.outcome != "not asked":
            totals[answer.column] += 1
            good[answer.column] += answer.outcome == "right"
    return {column: share(good[column], total) for column, total in totals.items()}


def ask_wire(failures: Iterable[Failure], *, strict: bool = False) -> list[Reading]:
    """k2lab's own parser, tolerant or strict."""
    column = "wire strict" if strict else "wire"
    return [_read_by_wire(failure, column, strict=strict) for failure in failures]


def _read_by_wire(failure: Failure, column: str, *, strict: bool) -> Reading:
    parsed = read(failure, strict=strict)
    detail = "; ".join(call.reason for call in parsed.calls if call.reason)
    said = _Said(reasoning=parsed.reasoning, content=parsed.content, calls=returned(parsed), error=detail)
    return _judged(failure, column, said)


def read(failure: Failure, *, strict: bool = False) -> wire.Parsed:
    """An output as :mod:`k2lab.wire` reads it."""
    thinking = True if failure.thinks else None
    return wire.parse(failure.raw_output, failure.tools, strict=strict, thinking=thinking, family=failure.family)


def returned(parsed: wire.Parsed) -> tuple[ToolCall, ...]:
    """The calls of an output that a server would return: those whose name and arguments are known."""
    usable = [call for call in parsed.calls if call.status in ("ok", "repaired", "undeclared")]
    return tuple(ToolCall(name=call.name, arguments=dict(call.arguments or {})) for call in usable)


def ask_engine(name: str, failures: Sequence[Failure], folder: Path) -> list[Reading]:
    """vLLM's parser in its own interpreter, with the tokenizer of ``folder``.

    A release that cannot be asked gives ``not asked`` with the reason.
    """
    try:
        python = engine.resolve(name).python
        if python is None:
            raise EngineError(f"{name} is a URL: ask it by derender")
        answers = _run_worker(python, name, failures, folder)
    except EngineError as error:
        reason = first_line(error)
        return [_not_asked(f.case_id, f"{name} {label}", reason) for f in failures for label in CHUNKS.values()]
    return [
        reading
        for failure in failures
        for reading in _read_in_chunks(name, failure, {chunk: answers[failure.case_id, chunk] for chunk in CHUNKS})
    ]


def _read_in_chunks(name: str, failure: Failure, said: Mapping[int, _Said]) -> Iterable[Reading]:
    for chunk, label in CHUNKS.items():
        one = said[chunk]
        if one.absent:
            yield _not_asked(failure.case_id, f"{name} {label}", f"vLLM {name}: {one.absent}")
            continue
        yield _judged(failure, f"{name} {label}", one, differs=not one.same_as(said[0]))


def ask_engines(names: Sequence[str], failures: Sequence[Failure], folder: Path) -> list[Reading]:
    """Several engines at once: each spends its time starting an interpreter of its own."""
    with ThreadPoolExecutor(len(names) or 1) as pool:
        asked = pool.map(lambda name: ask_engine(name, failures, folder), names)
        return [answer for answers in asked for answer in answers]


def ask_derender(endpoint: Endpoint, tokenizer: Tokenizer, failures: Sequence[Failure]) -> list[Reading]:
    """The parser inside a running server, on ids of our choice (vLLM with ``--enable-scale-out``)."""
    return [_derendered(endpoint, tokenizer, failure) for failure in failures]


def _derendered(endpoint: Endpoint, tokenizer: Tokenizer, failure: Failure) -> Reading:
    try:
        answer = endpoint.derender(tokenizer.encode(failure.raw_output), failure.tools)
    except EndpointError as error:
        return _not_asked(failure.case_id, "derender", str(error))
    reasoning = "".join(answer.reasoning) or None
    return _judged(
        failure, "derender", _Said(reasoning=reasoning, content=answer.content, calls=answer.calls, error="")
    )


def ask_all(
    failures: Sequence[Failure], source: Source, engines: Sequence[str] = (), base_url: str | None = None
) -> list[Reading]:
    """Every parser at hand, on ids of the source's tokenizer; ``engines`` are the installed ones, unless given."""
    if source.folder is None or source.tokenizer is None:
        raise InputError(f"{source.spec} has no tokenizer, and parsers read ids: give a model folder or hub:REPO@SHA")
    names = engines or engine.installed()
    answers = ask_engines(names, failures, source.folder)
    if base_url:
        answers += ask_derender(Endpoint(base_url), source.tokenizer, failures)
    return answers + ask_wire(failures)


def matrix(answers: Iterable[Reading]) -> dict[str, dict[str, Reading]]:
    """Answers by case and column, in the order in which they came."""
    rows: dict[str, dict[str, Reading]] = {}
    for answer in answers:
        rows.setdefault(answer.case_id, {})[answer.column] = answer
    return rows


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """What an engine's parser said of one output, fed in one way."""

    reasoning: str | None
    content: str | None
    calls: tuple[ToolCall, ...]
    error: str
    absent: str = ""

    def same_as(self, other: _Said) -> bool:
        texts = _same(self.content, other.content) and _same(self.reasoning, other.reasoning)
        return texts and canonical(self.calls) == canonical(other.calls)


def command_of(folder: Path) -> list[str]:
    """What follows an engine's interpreter on the command line that asks its parser."""
    return [str(WORKER), str(folder), str(CPU_S), str(MEMORY)]


def question(raw_output: str, tools: Iterable[Mapping[str, Any]], family: Family, prompt: str = "") -> dict[str, Any]:
    """What the worker is asked of an output: by which parsers, and behind which prompt."""
    xtml = family.wire == "xtml"
    parser = "kimi_k3" if xtml else "kimi_k2"
    return {
        "raw_output": raw_output,
        "tools": list(tools),
        "parser": parser,
        "reasoning_parser": parser if family.reads_reasoning else "",
        "prompt": prompt or (K3_PROMPT if xtml else GENERATION_PROMPT),
    }


def _run_worker(python: Path, name: str, failures: Sequence[Failure], folder: Path) -> dict[tuple[str, int], _Said]:
    asked = [
        {"id": f.case_id, **question(f.raw_output, f.tools, f.family, f.prompt), "chunk": chunk}
        for f in failures
        for chunk in CHUNKS
    ]
    lines = "".join(json.dumps(case) + "\n" for case in asked)
    try:
        out, errors = warm.run(python, command_of(folder), environment(name), lines, TIMEOUT_S)
    except TimeoutError:
        raise EngineError(f"the parser of {python} did not answer within {TIMEOUT_S:.0f} s") from None
    answers = [json.loads(line) for line in out.splitlines()]
    if answers and "failed" in answers[-1]:
        raise EngineError(answers[-1]["failed"])
    if len(answers) != len(asked):
        last = (errors.strip().splitlines() or ["no message"])[-1]
        raise EngineError(f"its parser could not be run: {last}")
    return {(row["id"], row["chunk"]): _said(row) for row in answers}


def _said(row: Mapping[str, Any]) -> _Said:
    calls = tuple(ToolCall(name=call["name"], arguments=call["arguments"]) for call in row["calls"])
    return _Said(
        reasoning=row["reasoning"], content=row["content"], calls=calls, error=row["error"], absent=row["absent"]
    )


def _judged(failure: Failure, column: str, said: _Said, *, differs: bool = False) -> Reading:
    return Reading(
        case_id=failure.case_id,
        column=column,
        outcome=grade(failure, said.content, said.calls, said.reasoning),
        content=said.content,
        calls=said.calls,
        reasoning=said.reasoning,
        detail=said.error,
        differs=differs,
    )


def _not_asked(case_id: str, column: str, reason: str) -> Reading:
    return Reading(case_id=case_id, column=column, outcome="not asked", detail=reason)


def failure_of(line: bytes) -> Failure:
    """One line of a catalogue; ``ValueError`` says what is wrong with it."""
    row = _object(line)
    expected = _field(row, "expected", Mapping, "an object")
    source = row.get("source", ())
    return Failure(
        case_id=_field(row, "id", str, "a text"),
        what=str(row.get("what", "")),
        source=tuple(source) if isinstance(source, list | tuple) else (str(source),),
        raw_output=_field(row, "raw_output", str, "a text"),
        tools=tuple(_tool(tool) for tool in _field(row, "tools", list, "a list")),
        status=str(expected.get("status", "ok")),
        calls=tuple(_call(call) for call in _field(expected, "calls", list, "a list", "expected.")),
        content=_field(expected, "content", str | None, "a text or null", "expected."),
        reasoning=(_field(expected, "reasoning", str | None, "a text or null", "expected.") or "")
        if "reasoning" in expected
        else None,
        family=_family(row.get("family", K2.name)),
        prompt=_field(row, "prompt", str, "a text") if "prompt" in row else "",
    )


def _family(name: object) -> Family:
    try:
        return named(name if isinstance(name, str) else json.dumps(name))
    except InputError as error:
        raise ValueError(f"family: {error}") from None


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        row = jsonread.read_json(line)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(row, Mapping):
        raise ValueError(f"a JSON object is wanted, not {line[:40].decode(errors='replace')!r}")
    return row


def _field(row: Mapping[str, Any], name: str, kind: Any, said: str, inside: str = "") -> Any:
    if name not in row:
        raise ValueError(f"{inside}{name} is missing")
    if not isinstance(row[name], kind):
        raise ValueError(f"{inside}{name} is to be {said}, not {json.dumps(row[name])[:40]}")
    return row[name]


def _tool(tool: object) -> Mapping[str, Any]:
    if not isinstance(tool, Mapping) or name_of(tool) is None:
        raise ValueError(f"tools has an entry that is not a tool in OpenAI's form: {json.dumps(tool)[:60]}")
    return tool


def _call(call: object) -> ToolCall:
    if not isinstance(call, Mapping) or not isinstance(call.get("name"), str) or "arguments" not in call:
        raise ValueError(f"expected.calls has an entry without name and arguments: {json.dumps(call)[:60]}")
    return ToolCall(name=call["name"], arguments=call["arguments"])


def _refuse_twice(case_id: str, failures: Mapping[str, Failure]) -> None:
    if case_id in failures:
        raise ValueError(f"the id {case_id!r} occurs twice: answers are matched by id, so give each its own")
