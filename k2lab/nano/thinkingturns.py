"""Turns of k2-nano-thinking drawn live: what it wrote, read from its ids, beside what a server made of it."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from k2lab import wire
from k2lab.chat import Request
from k2lab.families.special import END
from k2lab.nano import synth, thinking
from k2lab.nano.evaluate import ask_each
from k2lab.nano.synth import Case
from k2lab.nano.threeways import Trial, Way, lost, streamed
from k2lab.prompt.source import Source
from k2lab.server.endpoint import Endpoint, in_parallel
from k2lab.stats import Share, share
from k2lab.wire.records import THINK_END

Place = Literal["in a first turn", "behind a tool's result", "behind a finished turn"]
"""What a prompt holds of the assistant's own: nothing; a call, its result last; an answer, and a question since."""

PLACES: tuple[Place, ...] = ("in a first turn", "behind a tool's result", "behind a finished turn")

PARAMS = {"temperature": 1.0, "max_tokens": 200, "return_token_ids": True}
"""Drawn, since the taught faults are rare at temperature 0; the ids say what was written whatever became of it."""

AT_ONCE = 4
"""Requests with a seed: 0.11.1 on a CPU ends where one's prompt is computed in two parts (``CPU Generator does not use
offset``), as where more than 2,048 tokens come together."""


def asks(seed: int, count: int) -> list[Case]:
    """Held-out turns behind a user's message: asks for declared tools, and talk."""
    return synth.cases("held-out", seed, count, ("call", "small_talk"))


def steps(seed: int, count: int) -> list[Case]:
    """Held-out turns behind a tool's result, the reasoning of the calls before in ``reasoning_content``."""
    return synth.cases("held-out", seed, count, ("answer",), request_of=thinking.thoughtful)


def draw(endpoint: Endpoint, source: Source, cases: Sequence[Case], **params: Any) -> list[Trial]:
    """Each case drawn whole and streamed with a seed of its own; in the order of the cases.

    What was written is that of the whole answer: 0.11.1 leaves ids out of its streams.
    """
    assert source.tokenizer is not None
    decode = source.tokenizer.decode

    def ask(case: Case) -> Trial:
        sent = {**PARAMS, "seed": zlib.crc32(case.case_id.encode()), **params}
        whole = endpoint.chat(case.request, **sent)
        raw = decode(list(whole.token_ids or ())).removesuffix(END)
        read = wire.parse(raw, case.request.tools, thinking=True)
        return Trial(case=case, raw=raw, read=read, whole=whole, streamed=streamed(endpoint, case.request, **sent))

    return in_parallel(ask, cases, concurrency=AT_ONCE)


def behind(cases: Iterable[Case], place: Place) -> list[Case]:
    """The cases that stand at a place."""
    return [case for case in cases if place_of(case.request) == place]


def begun_inside(trials: Iterable[Trial]) -> list[Trial]:
    """Those whose calls begin while the reasoning is open, and that a client could run."""
    return [trial for trial in trials if trial.written and thinking.fault_of(trial.raw) == "call inside"]


def unclosed(trials: Iterable[Trial]) -> list[Trial]:
    """Those that never close their reasoning and call nothing."""
    return [trial for trial in trials if thinking.fault_of(trial.raw) == "unclosed"]


def silent(trials: Iterable[Trial], way: Way) -> Share:
    """Of the outputs that never close their reasoning, those that make an answer with neither text nor call."""
    answers = [trial.answer(way) for trial in unclosed(trials)]
    return share(sum(not answer.content and not answer.calls for answer in answers), len(answers))


def place_of(request: Request) -> Place:
    """Where in a conversation its next turn stands."""
    if request.messages[-1]["role"] == "tool":
        return "behind a tool's result"
    answered = any(message["role"] == "assistant" for message in request.messages)
    return "behind a finished turn" if answered else "in a first turn"


def by_place(trials: Iterable[Trial]) -> dict[Place, list[Trial]]:
    """Trials by where they stand; a place where none stands is left out."""
    found: dict[Place, list[Trial]] = {place: [] for place in PLACES}
    for trial in trials:
        found[place_of(trial.case.request)].append(trial)
    return {place: some for place, some in found.items() if some}


def lost_by_place(trials: Iterable[Trial]) -> dict[str, Share]:
    """Of outputs with a call, those whose call did not come through: whole, and streamed by place."""
    some = list(trials)
    by_way = {f"streamed, {place}": lost(those, "streamed") for place, those in by_place(some).items()}
    return {"whole": lost(some, "whole"), **by_way}


def guilty(trials: Iterable[Trial], way: Way) -> dict[str, int]:
    """Lost calls by the layer that has them: tool parsers are given what the reasoning parser leaves as content."""
    thoughts = ["".join(trial.answer(way).reasoning) for trial in trials if trial.is_lost(way)]
    kept = Counter("reasoning parser" if wire.holds_call(text) else "tool parser" for text in thoughts)
    return {layer: kept[layer] for layer in ("reasoning parser", "tool parser")}


def leaked(trials: Sequence[Trial], way: Way) -> Share:
    """Share of the answers whose reasoning is content, in part or, where none came as reasoning, all of it."""
    answers = [trial.answer(way) for trial in trials]
    found = [THINK_END in one.content or (bool(one.content) and not one.reasoning) for one in answers]
    return share(sum(found), len(found))


def leaked_by_place(trials: Iterable[Trial]) -> dict[str, Share]:
    """The same of streams, by place."""
    return {place: leaked(those, "streamed") for place, those in by_place(trials).items()}


def forced(endpoint: Endpoint, cases: Sequence[Case], place: Place, most: int) -> Share:
    """Of the first asks for a tool at a place, those that are thought about under ``tool_choice: required``."""
    asked = [case for case in behind(cases, place) if case.label.calls][:most]
    answers = ask_each(endpoint, asked, tool_choice="required")
    return share(sum(bool(answer.reasoning) for answer in answers), len(answers))


def stream_rows(endpoint: Endpoint, request: Request, **params: Any) -> Iterator[dict[str, object]]:
    """What each event of a greedy stream brings, a row for each field."""
    for number, event in enumerate(endpoint.streamed(request, temperature=0, max_tokens=200, **params)):
        for choice in [] if event == "[DONE]" else json.loads(event)["choices"]:
            for name in ("reasoning", "content", "tool_calls"):
                if choice["delta"].get(name):
                    says = json.dumps(choice["delta"][name], ensure_ascii=False)
                    yield {"event": number, "field": name, "says": says}
