"""What the playground of outputs knows: an output, the tools, a chunk; and what each parser makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from k2lab import jsonread, wire
from k2lab.chat import tools_of
from k2lab.errors import InputError, K2LabError
from k2lab.families import K2, K2_THINKING, K3, Family
from k2lab.legible import one_line
from k2lab.nano import folders, tokenizer
from k2lab.prompt.fast import FastTokenizer
from k2lab.server import parsers
from k2lab.server.keptparsers import Heard, Step
from k2lab.server.parsers import Failure, Outcome, grade
from k2lab.widgets.losses import Loss, lost_in
from k2lab.wire import Parsed
from k2lab.wire.records import THINK_BEGIN, THINK_END

MOST_CHUNK = 64
MOST_READ = 200_000
"""Characters of an output that are read."""
MOST_FED = 20_000
"""Characters of an output that is fed in chunks: releases take the square of its length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a parser is asked: an output, its family, the tools on offer, how many tokens are fed at a time (0: all).

    Of a family that thinks the output begins inside the reasoning, and the
    reasoning parser reads it first.
    """

    raw: str
    tools: tuple[Mapping[str, Any], ...]
    chunk: int = 0
    family: Family = K2

    @property
    def is_fed(self) -> bool:
        """Whether it is asked in chunks, too."""
        return self.chunk > 0 and len(self.raw) <= MOST_FED


@dataclass(frozen=True, kw_only=True, slots=True)
class Playing:
    """The state: the output and the tools as they are edited, the chunk, the family, the case that was picked.

    ``fault`` is what is wrong with ``tools_written`` in one line; the last good
    ``tools`` stay.

    >>> state = Playing.of("Hello")
    >>> state.with_tools("[").fault, state.question.raw
    ('not JSON: Expecting value at column 2', 'Hello')
    """

    written: str = ""
    tools_written: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    chunk: int = 0
    family: Family = K2
    case: Failure | None = None
    fault: str = ""

    @classmethod
    def of(
        cls, raw: str, tools: Iterable[Mapping[str, Any]] = (), chunk: int = 0, family: Family | None = None
    ) -> Playing:
        """An output with its tools; raises :class:`~k2lab.errors.RequestError` for what is no tool.

        ``family``: as the output's own markers say, unless named.
        """
        known = tools_of(list(tools))
        made = cls(written=raw, tools_written=written_out(known) if known else "", tools=known)
        return made.with_chunk(chunk).with_family(family or family_of(raw))

    def picked(self, case: Failure | None) -> Playing:
        """The state with a case of the catalogue in place of what was written; ``None``: what is there is one's own."""
        return replace(self, case=None) if case is None else replace(
            self, case=case, written=case.raw_output, tools_written=written_out(case.tools), tools=case.tools, fault="",
            family=case.family,
        )  # fmt: skip

    def edited(self, written: str) -> Playing:
        """The state after an edit of the output."""
        return replace(self, written=written, case=self._kept(written, self.tools))

    def with_tools(self, written: str) -> Playing:
        """The state after an edit of the tools."""
        try:
            tools = _read(written)
        except (ValueError, K2LabError) as error:
            return replace(self, tools_written=written, fault=one_line(error, 300))
        return replace(self, tools_written=written, tools=tools, fault="", case=self._kept(self.written, tools))

    def with_chunk(self, chunk: int) -> Playing:
        """The state with another number of tokens a chunk, 0 for the whole text at once."""
        return replace(self, chunk=min(max(chunk, 0), MOST_CHUNK))

    def with_family(self, family: Family) -> Playing:
        """The state with the output taken for another family's."""
        case = self.case if self.case and self.case.family is family else None
        return replace(self, family=family, case=case)

    @property
    def question(self) -> Question:
        """What is asked: at most :data:`MOST_READ` characters, and text that UTF-8 can hold."""
        raw = jsonread.LONE_SURROGATE.sub("\ufffd", self.written[:MOST_READ])
        return Question(raw=raw, tools=self.tools, chunk=self.chunk, family=self.family)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the output is not asked as it is written."""
        length = len(self.written)
        said = {
            f"the output has {length:,} characters: the first {MOST_READ:,} are read": length > MOST_READ,
            f"more than {MOST_FED:,} characters are not fed in chunks": self.chunk and length > MOST_FED,
            "half a surrogate pair is read as U+FFFD: no server can send one": jsonread.LONE_SURROGATE.search(
                self.written[:MOST_READ]
            ),
            "no tools: which names are declared is not known, and a server would not look for calls": not self.tools,
        }
        return tuple(words for words, holds in said.items() if holds)

    def _kept(self, written: str, tools: tuple[Mapping[str, Any], ...]) -> Failure | None:
        case = self.case
        return case if case and (case.raw_output, list(case.tools)) == (written, list(tools)) else None


def family_of(raw: str) -> Family:
    """Whose output it is by its markers: K3's, K2-Thinking's where it has a tag of reasoning, else K2's.

    >>> family_of("<think>Well.</think>Hello").name
    'K2-Thinking'
    """
    if "<|open|>" in raw or "<|close|>" in raw:
        return K3
    return K2_THINKING if THINK_END in raw or raw.lstrip().startswith(THINK_BEGIN) else K2


def written_out(tools: Iterable[Mapping[str, Any]]) -> str:
    """Tools as JSON to edit; half a surrogate pair stays an escape."""
    text = json.dumps(list(tools), indent=1, ensure_ascii=False)
    return json.dumps(list(tools), indent=1) if jsonread.LONE_SURROGATE.search(text) else text


def _read(written: str) -> tuple[Mapping[str, Any], ...]:
    if not written.strip():
        return ()
    try:
        data = jsonread.read_json(written)
    except ValueError as error:
        raise InputError(f"not JSON: {error}") from None
    return tools_of(data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What one parser says: its answers to the whole text and to chunks, or in ``words`` why there is none."""

    name: str
    whole: Heard | None = None
    fed: Heard | None = None
    words: str = ""
    detail: str = ""
    lost: tuple[Loss, ...] = ()

    @classmethod
    def of(cls, name: str, raw: str, whole: Heard, fed: Heard | None = None, detail: str = "") -> Column:
        """A parser's answers, and what the chunks lose."""
        lost = lost_in(raw, whole, fed) if fed else ()
        return cls(name=name, whole=whole, fed=fed, detail=detail or whole.error, lost=lost)

    def outcome(self, case: Failure | None) -> Outcome | None:
        """How the answer to the whole text is judged, where the case says what is expected."""
        whole = self.whole
        return grade(case, whole.content, whole.calls, whole.reasoning) if case and whole else None


@cache
def parsers_tokenizer() -> FastTokenizer:
    """k2-nano's with the markers of all families, as the releases' parsers are given it."""
    text = folders.all_markers().to_str()
    return FastTokenizer.of_files(text.encode(), tokenizer.config(), [])


def read_by_wire(question: Question) -> tuple[Parsed, tuple[Column, ...]]:
    """k2lab's own reading, tolerant; and its columns, strict and tolerant."""
    tools, thinking = question.tools or None, True if question.family.reads_reasoning else None
    tolerant, strict = (
        wire.parse(question.raw, tools, strict=strict, thinking=thinking, family=question.family)
        for strict in (False, True)
    )
    if not question.is_fed:
        return tolerant, (_column("wire strict", question, strict), _column("wire", question, tolerant))
    steps, streamed = _streamed(question, thinking or (None if tolerant.reasoning else False))
    columns = (
        _column("wire strict", question, strict, _fed(steps, strict)),
        _column("wire", question, tolerant, _fed(steps, streamed)),
    )
    return tolerant, columns


def _column(name: str, question: Question, parsed: Parsed, fed: Heard | None = None) -> Column:
    detail = "; ".join(call.reason for call in parsed.calls if call.reason)
    whole = Heard(content=parsed.content or "", calls=parsers.returned(parsed), reasoning=parsed.reasoning or "")
    return Column.of(name, question.raw, whole, fed, detail)


def _streamed(question: Question, thinking: bool | None) -> tuple[list[Step], Parsed]:
    """What the stream reader settles with each chunk, which is the same strict and tolerant; and what it reads."""
    stream = wire.OutputStream(question.tools or None, thinking=thinking, family=question.family)
    steps: list[Step] = []
    at = 0
    for tokens, end in cuts(question.raw, question.chunk):
        steps.append(Step(tokens=tokens, end=end, content=stream.feed(question.raw[at:end]), calls=()))
        at = end
    return steps, stream.close()


def _fed(steps: Sequence[Step], parsed: Parsed) -> Heard:
    """The answer in chunks: content as it is settled, the rest, the reasoning and the calls with the last one."""
    content, calls = parsed.content or "", parsers.returned(parsed)
    settled = "".join(step.content for step in steps)
    last = replace(
        steps[-1],
        content=steps[-1].content + content.removeprefix(settled),
        calls=tuple((at, call.name or "", json.dumps(call.arguments)) for at, call in enumerate(calls)),
        reasoning=parsed.reasoning or "",
    )
    return Heard(content=content, calls=calls, steps=(*steps[:-1], last), reasoning=parsed.reasoning or "")


def cuts(raw: str, chunk: int) -> Iterator[tuple[int, int]]:
    """Where chunks of so many tokens end: tokens and characters; none ends within a character.

    The tokens are those of the folder that parsers are asked with.
    """
    spans = parsers_tokenizer().spans(raw)
    for tokens in [*range(chunk, len(spans), chunk), len(spans)]:
        end = spans[tokens - 1][1] if tokens else 0
        if tokens == len(spans) or spans[tokens][0] >= end:
            yield tokens, end
