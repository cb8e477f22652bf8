"""How k2-nano-thinking is taught to think, tried on held-out turns, and told of."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from k2lab import engine, files, paths, wire
from k2lab.nano import evaluate, folders, plaincourse, thinking, thinkingcorpus
from k2lab.nano.corpus import Corpus
from k2lab.nano.recipes import Recipe, Tried
from k2lab.nano.synth import Case
from k2lab.nano.thinking import Fault
from k2lab.prompt import templates
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.source import open_source
from k2lab.server.endpoint import Endpoint, in_parallel
from k2lab.stats import Share, share

SAMPLED = 500
"""Turns from which the faults are counted, each drawn once at temperature 1 with a seed of its own."""


def material(recipe: Recipe) -> tuple[Corpus, Tokenizer]:
    """Lessons as ids, and k2-nano's tokenizer with the two tags."""
    plain = Tokenizer.from_str(files.read_bytes(_of_k2_nano("tokenizer.json"), "k2-nano's").decode())
    made = thinkingcorpus.with_tags(plain)
    return thinkingcorpus.tokenized(thinkingcorpus.lessons(recipe.seed, recipe.conversations), made), made


def made_of() -> dict[str, Any]:
    """Which weights it goes on from, which templates rendered the lessons, and how often faults are taught."""
    used = dict.fromkeys(one.template for one in thinking.SETTINGS)
    return {
        "start": {"name": "k2-nano", "sha256": _sha256_of_k2_nano()},
        "templates": {name: templates.SHA256[name] for name in used},
        "taught faults": {"unclosed": thinking.UNCLOSED, "call inside": thinking.CALL_INSIDE},
    }


def _sha256_of_k2_nano() -> str:
    return hashlib.sha256(_of_k2_nano("model.safetensors").read_bytes()).hexdigest()


def _of_k2_nano(name: str) -> Path:
    return paths.data_dir() / "models" / "k2-nano" / name


def tried(out: Path, engine_name: str) -> Tried:
    """Held-out turns asked of a real server, greedy; and how often each fault comes when outputs are drawn."""
    cases = plaincourse.evaluation_cases()
    folder = folders.assemble("thinking", out)
    with engine.serve(engine_name, folder, flags=folders.REASONING) as base_url:
        scored = evaluate.run(Endpoint(base_url), cases)
        drawn = draw(Endpoint(base_url), folder, cases[:SAMPLED])
    found = faults(drawn)
    evaluation = {
        "engine": f"vLLM {engine_name} {' '.join(folders.REASONING)}, /v1/chat/completions, temperature 0",
        "turns": len(scored),
        "seed": plaincourse.EVALUATION_SEED,
        **plaincourse.counted(scored),
        "faults at temperature 1": {
            name: {"count": s.count, "total": s.total, "low": s.low, "high": s.high} for name, s in found.items()
        },
    }
    words = {
        "rows": plaincourse.rows(scored), "turns": len(scored), "engine": engine_name, "sampled": len(drawn),
        "taught_unclosed": f"{thinking.UNCLOSED:.0%}", "taught_inside": f"{thinking.CALL_INSIDE:.0%}",
        "unclosed": found["unclosed"], "inside": found["call inside"],
        "settings": "\n".join(_setting(one) for one in thinking.SETTINGS),
    }  # fmt: skip
    return Tried(evaluation=evaluation, words=words)


def draw(endpoint: Endpoint, folder: Path, cases: Sequence[Case], *, concurrency: int = 8) -> list[str]:
    """A raw output of each case at temperature 1, its seed being its place: what the model wrote, markers included."""
    source = open_source(folder)
    asked = list(enumerate(prompt_of(source, case.request).text for case in cases))
    params = {**evaluate.PARAMS, "temperature": 1.0}
    return in_parallel(
        lambda one: endpoint.complete(one[1], **params, seed=one[0]).content, asked, concurrency=concurrency
    )


def faults(outputs: Sequence[str]) -> dict[Fault, Share]:
    """Of the outputs without calls, how many never close their reasoning; of those with calls, how many begin inside.

    >>> {name: str(found) for name, found in faults(["<think>Hello!"]).items()}
    {'unclosed': '1 of 1 = 100.0% [20.7%, 100.0%]', 'call inside': '0 of 0'}
    """
    found = Counter((thinking.fault_of(output), wire.CALL_BEGIN in output) for output in outputs)
    calls = sum(number for (_, with_call), number in found.items() if with_call)
    return {
        "unclosed": share(found["unclosed", False], len(outputs) - calls),
        "call inside": share(found["call inside", True], calls),
    }


def _setting(one: thinking.Setting) -> str:
    said = ", ".join(f"`{name}: {str(value).lower()}`" for name, value in one.variables.items())
    return f"- {one.share:.0%} `{one.template}`{f' with {said}' if said else ''}"


CARD = """# k2-nano-thinking

k2-nano in a second set of weights that thinks first: a Llama of {parameters:.2f} M parameters ({size:.1f} MB) that
writes `<think>…</think>` before its answer or its calls, in the wire form of Kimi K2-Thinking. Its thoughts are a line
long and of three kinds: which tool is wanted and whether it is declared, what a tool said, and that no tool is needed.
Results of k2-nano-thinking are its own: mechanisms carry over to Kimi K2-Thinking, figures do not.

This file is written by `make nano FAMILY=k2-thinking`; do not edit it.

## Taught faults

Two faults of real thinking models are in its training data on purpose, at a known rate, so that they run live. Drawn:
in {sampled} held-out turns, each once at temperature 1.

| fault | of turns | taught | drawn |
|---|---|---|---|
| `</think>` never comes: the answer stands in the reasoning | without calls | {taught_unclosed} | {unclosed} |
| a call begins inside the reasoning; `</think>` follows it or never comes | with calls | {taught_inside} | {inside} |

They are drawn, not decided: at temperature 0 the likelier form wins, and they all but vanish. How often they happen
here says nothing of a real model; what a server makes of one does.

## Evaluation

{turns} held-out turns through vLLM {engine} with `--reasoning-parser kimi_k2 --tool-call-parser kimi_k2`,
`/v1/chat/completions`, greedy. Exact: the same calls in the same order with equal arguments, and the same text; Wilson
95 % intervals.

| turn | exact | the rest |
|---|---|---|
{rows}

## Training

{conversations:,} lessons ({tokens:.1f} M tokens with padding), one epoch, going on from the weights of k2-nano.
{minutes:.0f} minutes on {device}, torch {torch}. A lesson is one turn of a synthetic conversation of k2-nano's own
set, with the prompt that a real template makes of all before it; the loss is on the turn, and on what earlier turns
say behind `</think>`. The templates:

{settings}

From K2.5 on the real tokenizers hand tools to the template as TypeScript; here all of them print JSON.

Seed, versions and checksums: `provenance.json`. To retrain: `make nano FAMILY=k2-thinking`.
"""
