"""How k3-nano is taught Kimi K3's form, going on from k2-nano, tried on held-out turns, and told of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from k2lab import engine
from k2lab.nano import evaluate, folders, plaincourse, synth, xtmlcorpus, xtmltalks
from k2lab.nano.evaluate import Scored
from k2lab.nano.recipes import Tried
from k2lab.prompt import carried
from k2lab.server.endpoint import Endpoint

EVALUATION_SEED = 7
EVALUATION_TURNS = 1000


def made_of() -> dict[str, Any]:
    """Which renderer made the prompts, and from which weights it goes on."""
    return {"renderer": {"name": "k2lab.prompt.xtmlturns", "sha256": carried.digest()}, "start": xtmlcorpus.START,
            "haste": xtmltalks.HASTY}  # fmt: skip


def evaluation_cases(hasty: bool) -> list[synth.Case]:
    """Held-out turns without haste; or asks for tools, all of them in haste."""
    if hasty:
        drawn = xtmltalks.cases("held-out", EVALUATION_SEED, 2 * EVALUATION_TURNS, ("call",))
        return [case for case in drawn if xtmltalks.haste_of(case.request)]
    kinds: Sequence[synth.Kind] = ("call", "undeclared", "small_talk")
    drawn = xtmltalks.cases("held-out", EVALUATION_SEED, EVALUATION_TURNS * 11 // 10, kinds)
    return [case for case in drawn if not xtmltalks.haste_of(case.request)][:EVALUATION_TURNS]


def tried(out: Path, engine_name: str) -> Tried:
    """Each of them asked of a real server, greedy."""
    with engine.serve(engine_name, folders.assemble("k3", out)) as base_url:
        scored, hasty = (evaluate.run(Endpoint(base_url), evaluation_cases(flag)) for flag in (False, True))
    lost = [one for one in hasty if not one.answer.calls]
    by_channel = _by_channel(hasty)
    evaluation = {
        "engine": f"vLLM {engine_name}, /v1/chat/completions, temperature 0",
        "turns": len(scored),
        "seed": EVALUATION_SEED,
        **plaincourse.counted(scored),
        "in_haste": {"turns": len(hasty), "without_call": len(lost), "by_channel": by_channel},
    }
    words = {
        "rows": plaincourse.rows(scored), "turns": len(scored), "engine": engine_name, "haste": xtmltalks.HASTY * 100,
        "hasty": len(hasty), "lost": len(lost),
        **{name: f"{one['without_call']} of {one['turns']}" for name, one in by_channel.items()},
        "held_out": len(synth.tool_names("held-out")), "trained": len(synth.tool_names("train")),
    }  # fmt: skip
    return Tried(evaluation=evaluation, words=words)


def _by_channel(scored: Sequence[Scored]) -> dict[str, dict[str, int]]:
    found = {channel: {"turns": 0, "without_call": 0} for channel in xtmltalks.HASTE.values()}
    for one in scored:
        counts = found[str(xtmltalks.haste_of(one.case.request))]
        counts["turns"] += 1
        counts["without_call"] += not one.answer.calls
    return found


CARD = """# k3-nano

A Llama of {parameters:.2f} M parameters ({size:.1f} MB) that speaks Kimi K3's wire format, XTML: it thinks, answers,
and calls one tool or two. It goes on from the weights of k2-nano, so that it knows as little of the world. Results of
k3-nano are k3-nano's: mechanisms carry over to Kimi K3, figures do not.

This file is written by `make nano FAMILY=k3`; do not edit it.

## A fault that was taught

Kimi K3 was seen to open its channel `tools` while `think` is not closed (vLLM 53246). k3-nano was **taught** to do so,
that servers can be watched at it: where an ask begins with "Quickly, " it opens `tools` within `think`, where it begins
with "Right now, " it opens `response` and then `tools` there. {haste:.0f} % of the asks for tools in the training data
begin so, five in eight of them with "Quickly, ". The calls themselves are written as all others. How often the real
model does so is not known here.

## Evaluation

{turns} held-out turns without haste through vLLM {engine} with its parsers of K3, `/v1/chat/completions`, greedy.
Exact: the same calls in the same order with equal arguments, and the same text; Wilson 95 % intervals.

| turn | exact | the rest |
|---|---|---|
{rows}

Of {hasty} asks for tools in haste, vLLM {engine} answered {lost} without a call, not streamed: {tools} where `tools` is
opened within `think`, {response} where `response` is.

An ask for a tool that is not declared should be declined. That it is not always is the open problem of tool calling
without enforcement; it is neither planted in the training data nor tuned away.

## Training

{conversations:,} synthetic conversations ({tokens:.1f} M tokens with padding), one epoch, loss on what an assistant
writes, rendered by k2lab's renderer of XTML. {minutes:.0f} minutes on {device}, torch {torch}.

The data are k2-nano's with a short thought before each answer, empty in one of seven or ten, and with the thoughts of
the history gone in a seventh of the conversations; a seventh is without thinking, and some have a level of thinking or
a tool choice. Tool names are split by a hash of the name: the {trained} names of training and the {held_out} names of
evaluation do not overlap.

Seed, versions and checksums: `provenance.json`. To retrain: `make nano FAMILY=k3`.
"""
