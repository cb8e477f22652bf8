"""How k2-nano is taught to call tools, tried on held-out turns, and told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from k2lab import engine
from k2lab.nano import corpus, evaluate, folders, synth
from k2lab.nano.recipes import Recipe, Tried
from k2lab.prompt import templates
from k2lab.server.endpoint import Endpoint

EVALUATION_SEED = 7
EVALUATION_TURNS = 1000


def material(recipe: Recipe) -> tuple[corpus.Corpus, Tokenizer]:
    """Conversations as ids, and the tokenizer that is trained on them."""
    texts = corpus.render_all(recipe.seed, recipe.conversations)
    made = corpus.train_tokenizer(texts)
    return corpus.tokenized(texts, made), made


def made_of() -> dict[str, Any]:
    """Which template rendered them."""
    return {"template": {"name": templates.CURRENT, "sha256": templates.SHA256[templates.CURRENT]}}


def evaluation_cases() -> list[synth.Case]:
    """The held-out turns of the model card: calls, undeclared asks and small talk."""
    return synth.cases("held-out", EVALUATION_SEED, EVALUATION_TURNS, ("call", "undeclared", "small_talk"))


def tried(out: Path, engine_name: str) -> Tried:
    """Each of them asked of a real server, greedy."""
    with engine.serve(engine_name, folders.assemble("current", out)) as base_url:
        scored = evaluate.run(Endpoint(base_url), evaluation_cases())
    evaluation = {
        "engine": f"vLLM {engine_name}, /v1/chat/completions, temperature 0",
        "turns": len(scored),
        "seed": EVALUATION_SEED,
        **counted(scored),
    }
    words = {
        "rows": rows(scored), "turns": len(scored), "engine": engine_name, "template": templates.CURRENT,
        "held_out": len(synth.tool_names("held-out")), "trained": len(synth.tool_names("train")),
    }  # fmt: skip
    return Tried(evaluation=evaluation, words=words)


def counted(scored: list[evaluate.Scored]) -> dict[str, Any]:
    """What was exact of each kind of turn, with 95 % intervals, and what the rest was."""
    shares = evaluate.exact_by_kind(scored).items()
    exact = {kind: {"count": s.count, "total": s.total, "low": s.low, "high": s.high} for kind, s in shares}
    return {"exact": exact, "misses": evaluate.misses(scored)}


def rows(scored: list[evaluate.Scored]) -> str:
    """The same as rows of a table."""
    misses = evaluate.misses(scored)
    return "\n".join(
        f"| {kind.replace('_', ' ')} | {value} | {_counts(misses.get(kind, {}))} |"
        for kind, value in evaluate.exact_by_kind(scored).items()
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items()) or "none"


CARD = """# k2-nano

A Llama of {parameters:.2f} M parameters ({size:.1f} MB) that speaks Kimi K2's wire format: small enough to serve
with real vLLM on a laptop, trained enough that its tool calls are right when the prompt is. It knows nothing of the
world. Results of k2-nano are k2-nano's: mechanisms carry over to Kimi K2, figures do not.

This file is written by `make nano`; do not edit it.

## Evaluation

{turns} held-out turns through vLLM {engine}, `/v1/chat/completions`, greedy. Exact: the same calls in the same order
with equal arguments, and the same text; Wilson 95 % intervals.

| turn | exact | the rest |
|---|---|---|
{rows}

An ask for a tool that is not declared should be declined. That it is not always is the open problem of tool calling
without enforcement; it is neither planted in the training data nor tuned away.

## Training

{conversations:,} synthetic conversations ({tokens:.1f} M tokens with padding), one epoch, loss on assistant turns,
rendered by the real template `{template}`. {minutes:.0f} minutes on {device}, torch {torch}.

The data: one to five exchanges, up to three declared tools named `VERB_NOUN`, with optional, enum, number,
boolean and nested parameters; 68 % of the asks call (15 % of those two tools at once), 12 % ask for an undeclared
tool, 20 % are small talk; 5 % of the conversations use ids without `functions.`. Tool names are split by a hash of
the name: the {trained} names of training and the {held_out} names of evaluation do not overlap.

Seed, versions and checksums: `provenance.json`. To retrain: `make nano`.
"""
