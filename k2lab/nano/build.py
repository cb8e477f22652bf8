"""Make one of the nanos from nothing: corpus, tokenizer, training, evaluation, model card."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Set
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from k2lab import engine, files, kept, paths
from k2lab.errors import EngineError, InputError
from k2lab.nano import courses
from k2lab.nano.courses import SPECIAL, Course, Recipe

log = logging.getLogger(__name__)

TRAINER = Path(__file__).with_name("train.py")


def build_model(
    out: Path, *, course: Course = courses.K2, engine_name: str = "0.32.0", conversations: int | None = None
) -> None:
    """Train and evaluate; an interrupted call goes on where it was. ``conversations``: fewer than the recipe's."""
    recipe = course.recipe if conversations is None else replace(course.recipe, conversations=conversations)
    python = engine.resolve(engine_name).python
    if python is None:
        raise EngineError("training needs an interpreter that has torch, not a server: name a version")
    work = _work_dir(course, recipe)
    if out.resolve() == work.resolve():
        raise InputError(f"{out} is where the training keeps its own files: name another folder")
    if not (work / "plan.json").exists():
        prepare(work, course, recipe)
    _plan(work)
    if not (work / "run.json").exists():
        _train(python, work)
    _run(work)
    install_weights(work, out)
    log.info("evaluating on held-out turns, vLLM %s", engine_name)
    write_card(out, _run(work), course, recipe, course.tried(out, engine_name))
    log.info("%s", (out / "README.md").read_text())


def prepare(work: Path, course: Course, recipe: Recipe) -> None:
    """Write the corpus, the tokenizer and, last, the plan."""
    work.mkdir(parents=True, exist_ok=True)
    log.info("rendering %d conversations", recipe.conversations)
    data, made = course.material(recipe)
    data.save(work / "corpus.npz")
    made.save(str(work / "tokenizer.json"))
    if course.start:
        kept.write_whole(
            work / "start.safetensors", files.read_bytes(course.started_from(), "the weights to go on from")
        )
    ids = {key: made.token_to_id(text) for key, text in course.special.items()}
    plan = {key: value for key, value in asdict(recipe).items() if key != "conversations"}
    shape = {**course.shape, "vocab_size": made.get_vocab_size()}
    kept.write_whole(work / "plan.json", json.dumps({**plan, "model": {**shape, **ids}}))
    log.info("%d tokens, %.0f%% of them written by the assistant", len(data.ids), 100 * data.mask.mean())


def _work_dir(course: Course, recipe: Recipe) -> Path:
    """A folder of its own for each recipe and each state of what decides the corpus."""
    digest = hashlib.sha256(json.dumps([asdict(recipe), dict(course.shape)], sort_keys=True).encode())
    for path in (*course.decided_by, TRAINER, *([course.started_from()] if course.start else [])):
        digest.update(files.read_bytes(path, "what the training is made of"))
    return paths.cache_dir() / "nano" / digest.hexdigest()[:12]


def _plan(work: Path) -> dict[str, Any]:
    """The settings of a training that was prepared."""
    plan = _left(work / "plan.json", Recipe.__dataclass_fields__.keys() - {"conversations"} | {"model"})
    model = plan["model"]
    if not isinstance(model, dict) or model.keys() != courses.SHAPE.keys() | SPECIAL.keys():
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
    generation = {key: plan[key] for key in SPECIAL}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    for name in ("model.safetensors", "tokenizer.json"):
        (out / name).write_bytes(files.read_bytes(work / name, "the training's"))


def write_card(out: Path, run: dict[str, Any], course: Course, recipe: Recipe, tried: courses.Tried) -> None:
    """The model card and the provenance, both from what was measured."""
    weights = (out / "model.safetensors").read_bytes()
    provenance = {
        "seed": recipe.seed,
        "recipe": asdict(recipe),
        **course.made_of(),
        "training": {key: value for key, value in run.items() if key != "plan"},
        "weights": {"sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)},
        "evaluation": {**tried.evaluation, "hardware": f"{os.cpu_count()} CPU threads, {platform.machine()}"},
    }
    (out / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")
    told = {
        "parameters": run["parameters"] / 1e6, "size": len(weights) / 1e6, "tokens": run["tokens"] / 1e6,
        "minutes": run["seconds"] / 60, "device": run["device"], "torch": run["torch"],
        "conversations": recipe.conversations,
    }  # fmt: skip
    (out / "README.md").write_text(course.card.format(**told, **tried.words))
