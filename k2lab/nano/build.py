"""Make k2-nano from nothing: corpus, tokenizer, training, evaluation, model card."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from k2lab import engine, files, kept, paths
from k2lab.errors import EngineError, InputError
from k2lab.families.special import BOS, END, PAD
from k2lab.nano import corpus, evaluate, folders, synth, tokenizer
from k2lab.prompt import templates
from k2lab.server.endpoint import Endpoint

log = logging.getLogger(__name__)

EVALUATION_SEED = 7
EVALUATION_TURNS = 1000
TRAINER = Path(__file__).with_name("train.py")

SHAPE: dict[str, Any] = {
    "vocab_size": tokenizer.VOCABULARY_SIZE,
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """All that decides the weights, beside the hardware's rounding."""

    seed: int = 1
    conversations: int = 40_000
    batch: int = 24
    epochs: int = 1
    warmup: int = 50
    muon_lr: float = 3e-3
    adamw_lr: float = 3e-3
    weight_decay: float = 0.05


def build_model(out: Path, *, engine_name: str = "0.32.0", recipe: Recipe | None = None) -> None:
    """Train and evaluate; an interrupted call goes on where it was."""
    recipe = recipe or Recipe()
    python = engine.resolve(engine_name).python
    if python is None:
        raise EngineError("training needs an interpreter that has torch, not a server: name a version")
    work = _work_dir(recipe)
    if out.resolve() == work.resolve():
        raise InputError(f"{out} is where the training keeps its own files: name another folder")
    if not (work / "plan.json").exists():
        prepare(work, recipe)
    _plan(work)
    if not (work / "run.json").exists():
        _train(python, work)
    _run(work)
    install_weights(work, out)
    log.info("evaluating on %d held-out turns, vLLM %s", EVALUATION_TURNS, engine_name)
    with engine.serve(engine_name, folders.assemble("current", out)) as base_url:
        scored = evaluate.run(Endpoint(base_url), evaluation_cases())
    write_card(out, _run(work), recipe, scored, engine_name)
    log.info("%s", (out / "README.md").read_text())


def prepare(work: Path, recipe: Recipe) -> None:
    """Write the corpus, the tokenizer and, last, the plan."""
    work.mkdir(parents=True, exist_ok=True)
    log.info("rendering %d conversations", recipe.conversations)
    texts = corpus.render_all(recipe.seed, recipe.conversations)
    made = corpus.train_tokenizer(texts)
    data = corpus.tokenized(texts, made)
    data.save(work / "corpus.npz")
    made.save(str(work / "tokenizer.json"))
    ids = {key: made.token_to_id(text) for key, text in _SPECIAL.items()}
    plan = {key: value for key, value in asdict(recipe).items() if key != "conversations"}
    kept.write_whole(work / "plan.json", json.dumps({**plan, "model": {**SHAPE, **ids}}))
    log.info("%d tokens, %.0f%% of them written by the assistant", len(data.ids), 100 * data.mask.mean())


_SPECIAL = {"bos_token_id": BOS, "eos_token_id": END, "pad_token_id": PAD}


def evaluation_cases() -> list[synth.Case]:
    """The held-out turns of the model card: calls, undeclared asks and small talk."""
    return synth.cases("held-out", EVALUATION_SEED, EVALUATION_TURNS, ("call", "undeclared", "small_talk"))


def _work_dir(recipe: Recipe) -> Path:
    """A folder of its own for each recipe and each state of the code that decides the corpus."""
    digest = hashlib.sha256(json.dumps([asdict(recipe), SHAPE], sort_keys=True).encode())
    for module in (synth, corpus, tokenizer):
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(TRAINER.read_bytes())
    return paths.cache_dir() / "nano" / digest.hexdigest()[:12]


def _plan(work: Path) -> dict[str, Any]:
    """The settings of a training that was prepared."""
    plan = _left(work / "plan.json", asdict(Recipe()).keys() - {"conversations"} | {"model"})
    model = plan["model"]
    if not isinstance(model, dict) or model.keys() != SHAPE.keys() | _SPECIAL.keys():
        raise _damaged(work / "plan.json")
    return plan


def _run(work: Path) -> dict[str, Any]:
    """What a training that was finished says of itself."""
    run = _left(work / "run.json", {"parameters", "tokens", "seconds", "device", "torch"})
    if not all(type(run[name]) in (int, float) for name in ("parameters", "tokens", "seconds")):
        raise _damaged(work / "run.json")
    return run


def _left(path: Path, names: Set[str]) -> dict[str, Any]:
    """A file that an earlier step left; raises :class:`InputError` where it lacks one of the names."""
    try:
        data = files.read_json(path, "the training's")
    except InputError:
        raise _damaged(path) from None
    if not isinstance(data, dict) or not names <= data.keys():
        raise _damaged(path)
    return data


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is not as the training leaves it: remove {path.parent} to train anew")


def _train(python: Path, work: Path) -> None:
    log.info("training in %s; an interrupted run goes on from its last checkpoint", paths.shown(work))
    command = [str(python), "-u", str(TRAINER), str(work), str(work)]
    for line in engine.lines_of(command, "training failed"):
        if line.startswith(("step", "going", "a checkpoint")):
            log.info("%s", line)


def install_weights(work: Path, out: Path) -> None:
    """Copy weights and tokenizer, and write configurations that transformers 4 and 5 both read."""
    out.mkdir(parents=True, exist_ok=True)
    plan = _plan(work)["model"]
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float32", **plan}
    config |= {"hidden_act": "silu", "attention_bias": False, "torch_dtype": "float32"}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    generation = {key: plan[key] for key in _SPECIAL}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    for name in ("model.safetensors", "tokenizer.json"):
        (out / name).write_bytes(files.read_bytes(work / name, "the training's"))


def write_card(out: Path, run: dict[str, Any], recipe: Recipe, scored: list[evaluate.Scored], engine_name: str) -> None:
    """The model card and the provenance, both from what was measured."""
    exact = evaluate.exact_by_kind(scored)
    misses = evaluate.misses(scored)
    weights = out / "model.safetensors"
    provenance = {
        "seed": recipe.seed,
        "recipe": asdict(recipe),
        "template": {"name": templates.CURRENT, "sha256": templates.SHA256[templates.CURRENT]},
        "training": {key: value for key, value in run.items() if key != "plan"},
        "weights": {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest(), "bytes": weights.stat().st_size},
        "evaluation": {
            "engine": f"vLLM {engine_name}, /v1/chat/completions, temperature 0",
            "turns": len(scored),
            "seed": EVALUATION_SEED,
            "hardware": f"{os.cpu_count()} CPU threads, {platform.machine()}",
            "exact": {
                kind: {"count": s.count, "total": s.total, "low": s.low, "high": s.high} for kind, s in exact.items()
            },
            "misses": misses,
        },
    }
    (out / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")
    rows = "\n".join(
        f"| {kind.replace('_', ' ')} | {value} | {_counts(misses.get(kind, {}))} |" for kind, value in exact.items()
    )
    (out / "README.md").write_text(
        _CARD.format(
            rows=rows, turns=len(scored), engine=engine_name, parameters=run["parameters"] / 1e6,
            size=weights.stat().st_size / 1e6, tokens=run["tokens"] / 1e6, minutes=run["seconds"] / 60,
            device=run["device"], torch=run["torch"], conversations=recipe.conversations, template=templates.CURRENT,
            held_out=len(synth.tool_names("held-out")), trained=len(synth.tool_names("train")),
        )
    )  # fmt: skip


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items()) or "none"


_CARD = """# k2-nano

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
