"""Train k2-nano: run by an interpreter that has torch and transformers.

``python train.py CORPUS_DIR OUT_DIR`` reads ``corpus.npz`` (token ids, loss
mask, offsets), ``plan.json`` (model and optimiser settings) and, where there
are weights to go on from, ``start.safetensors``; it writes
``model.safetensors``, ``config.json`` and ``run.json``. It needs nothing of
k2lab, so that it runs in an engine's environment, on a CPU or a GPU.

An interrupted run goes on from ``checkpoint.pt``, which is written every few
minutes and replaced atomically.
"""

from __future__ import annotations

import json
import math
import os
import platform
import random
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from transformers import LlamaConfig, LlamaForCausalLM

CHECKPOINT_EVERY_S = 120.0
PROGRESS_EVERY_STEPS = 20


class Corpus:
    """Conversations as one run of ids; conversation ``i`` is ``[offsets[i], offsets[i + 1])``."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as data:
            self.ids: Any = data["ids"].astype(np.int64)
            self.mask: Any = data["mask"].astype(bool)
            self.offsets: Any = data["offsets"]

    def batches(self, size: int, epochs: int, seed: int) -> list[list[int]]:
        """Batches of conversations of like length, in a random order fixed by the seed."""
        rng = random.Random(seed)
        lengths = np.diff(self.offsets)
        made: list[list[int]] = []
        for _ in range(epochs):
            order = sorted(range(len(lengths)), key=lambda i: (lengths[i] + rng.random() * 40, i))
            chunk = [order[start : start + size] for start in range(0, len(order), size)]
            rng.shuffle(chunk)
            made += chunk
        return made

    def batch(self, members: list[int], pad: int) -> tuple[Tensor, Tensor]:
        """``(ids, labels)``, both ``[batch, tokens]``, padded right; labels are -100 off the loss."""
        rows = [slice(self.offsets[i], self.offsets[i + 1]) for i in members]
        width = max(row.stop - row.start for row in rows)
        ids = np.full((len(rows), width), pad, dtype=np.int64)
        labels = np.full((len(rows), width), -100, dtype=np.int64)
        for number, row in enumerate(rows):
            length = row.stop - row.start
            ids[number, :length] = self.ids[row]
            labels[number, :length] = np.where(self.mask[row], self.ids[row], -100)
        return torch.from_numpy(ids), torch.from_numpy(labels)


class Muon(torch.optim.Optimizer):  # type: ignore[misc]  # torch is not in this environment
    """Muon (Jordan et al., 2024): momentum, made orthogonal by five Newton-Schulz steps.

    ``torch.optim.Muon`` takes those steps in bfloat16, which a CPU without
    bfloat16 units emulates: 2.7 s a step against 0.05 s here in float32.
    """

    MOMENTUM = 0.95
    COEFFICIENTS = (3.4445, -4.7750, 2.0315)

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()  # type: ignore[untyped-decorator]  # likewise
    def step(self, closure: None = None) -> None:
        """One update; matrices of one shape are made orthogonal together."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[Tensor]] = {}
            for parameter in group["params"]:
                by_shape.setdefault(tuple(sorted(parameter.shape)), []).append(parameter)
            for members in by_shape.values():
                updates = self.orthogonal(torch.stack([self.momentum(p) for p in members]))
                for parameter, update in zip(members, updates, strict=True):
                    turned = update if parameter.shape[0] <= parameter.shape[1] else update.T
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    # 0.2 * sqrt(width): the size of AdamW's updates (Liu et al., 2025).
                    parameter.add_(turned, alpha=-group["lr"] * 0.2 * max(parameter.shape) ** 0.5)

    def momentum(self, parameter: Tensor) -> Tensor:
        """Nesterov momentum of a gradient, turned so that it is wide rather than tall."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        gradient = parameter.grad
        assert gradient is not None
        state["momentum"].lerp_(gradient, 1 - self.MOMENTUM)
        update = gradient.lerp(state["momentum"], self.MOMENTUM)
        return update if update.shape[0] <= update.shape[1] else update.T

    def orthogonal(self, x: Tensor) -> Tensor:
        """The nearest half-orthogonal matrices, ``[matrices, rows, columns]``."""
        a, b, c = self.COEFFICIENTS
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        for _ in range(5):
            square = x @ x.mT
            x = a * x + (b * square + c * square @ square) @ x
        return x


def optimisers(model: LlamaForCausalLM, plan: dict[str, Any]) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms."""
    named = dict(model.named_parameters())
    inner = [p for name, p in named.items() if p.ndim == 2 and ".layers." in name]
    outer = [p for name, p in named.items() if not (p.ndim == 2 and ".layers." in name)]
    adamw = torch.optim.AdamW(outer, lr=plan["adamw_lr"], betas=(0.9, 0.95), weight_decay=0.0)
    return [Muon(inner, plan["muon_lr"], plan["weight_decay"]), adamw]


def rate(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then a cosine down to a fiftieth."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def fit(corpus_dir: Path, out_dir: Path) -> None:
    """Train to the end, from a checkpoint where there is one."""
    plan = json.loads((corpus_dir / "plan.json").read_text())
    corpus = Corpus(corpus_dir / "corpus.npz")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(plan["seed"])
    model = LlamaForCausalLM(LlamaConfig(**plan["model"]))
    if (corpus_dir / "start.safetensors").exists():
        go_on_from(corpus_dir / "start.safetensors", model)
    model.to(device).train()
    batches = corpus.batches(plan["batch"], plan["epochs"], plan["seed"])[: plan.get("max_steps")]
    made = optimisers(model, plan)
    schedulers = [LambdaLR(o, lambda s: rate(s, len(batches), plan["warmup"])) for o in made]
    checkpoint = out_dir / "checkpoint.pt"
    state: dict[str, Any] = {"step": 0, "seconds": 0.0, "tokens": 0, "plan": plan}
    parts = {
        "model": model,
        **{f"opt{i}": o for i, o in enumerate(made)},
        **{f"sch{i}": s for i, s in enumerate(schedulers)},
    }
    if checkpoint.exists():
        state = restore(checkpoint, parts, plan, state)
    started, saved, losses = time.monotonic() - state["seconds"], time.monotonic(), []
    for step in range(state["step"], len(batches)):
        ids, labels = corpus.batch(batches[step], plan["model"]["pad_token_id"])
        with torch.autocast("cuda", torch.bfloat16, enabled=device == "cuda"):
            logits = model(input_ids=ids.to(device), use_cache=False).logits
        wanted = labels[:, 1:].to(device)
        chosen = wanted != -100
        loss = torch.nn.functional.cross_entropy(logits[:, :-1][chosen].float(), wanted[chosen])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part in (*made, *schedulers):
            part.step()
        model.zero_grad(set_to_none=True)
        losses.append(loss.item())
        state.update(step=step + 1, seconds=time.monotonic() - started, tokens=state["tokens"] + ids.numel())
        if (step + 1) % PROGRESS_EVERY_STEPS == 0 or step + 1 == len(batches):
            tell(state, len(batches), losses)
            losses = []
        if time.monotonic() - saved > CHECKPOINT_EVERY_S:
            save(checkpoint, parts, state)
            saved = time.monotonic()
    write(model, out_dir, state, device)
    checkpoint.unlink(missing_ok=True)


def go_on_from(path: Path, model: LlamaForCausalLM) -> None:
    """Take over given weights; a token that they do not know begins near the mean of the others."""
    weights, name = load_file(path), "model.embed_tokens.weight"
    grown, known = model.state_dict()[name].clone(), weights[name]
    grown += known.mean(0)
    grown[: len(known)] = known
    left = model.load_state_dict({**weights, name: grown}, strict=False)
    assert not left.unexpected_keys and set(left.missing_keys) <= {"lm_head.weight"}, left


def restore(path: Path, parts: dict[str, Any], plan: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
    """The state of an interrupted run of the same plan; a checkpoint of another plan is left alone and ignored."""
    found = torch.load(path, weights_only=True, map_location="cpu")
    if found["state"]["plan"] != plan:
        print("a checkpoint of another plan is there: starting anew", flush=True)
        return fresh
    for name, part in parts.items():
        part.load_state_dict(found[name])
    state: dict[str, Any] = found["state"]
    print(f"going on from step {state['step']}", flush=True)
    return state


def save(path: Path, parts: dict[str, Any], state: dict[str, Any]) -> None:
    """Write a checkpoint beside the old one, then replace it."""
    fresh = path.with_suffix(".tmp")
    torch.save({"state": dict(state), **{name: part.state_dict() for name, part in parts.items()}}, fresh)
    os.replace(fresh, path)


def tell(state: dict[str, Any], steps: int, losses: list[float]) -> None:
    """One line: step, loss, speed and time left."""
    speed = state["tokens"] / state["seconds"]
    left = state["seconds"] / state["step"] * (steps - state["step"])
    mean = sum(losses) / len(losses)
    print(
        f"step {state['step']}/{steps}  loss {mean:.4f}  {speed:,.0f} tokens/s  "
        f"{state['seconds'] / 60:.1f} min done, {left / 60:.1f} min left",
        flush=True,
    )


def write(model: LlamaForCausalLM, out_dir: Path, state: dict[str, Any], device: str) -> None:
    """Weights, and what the run was."""
    model.to(torch.float32).save_pretrained(out_dir / "weights", safe_serialization=True)
    os.replace(out_dir / "weights" / "model.safetensors", out_dir / "model.safetensors")
    run = {
        "steps": state["step"],
        "tokens": state["tokens"],
        "seconds": round(state["seconds"], 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "device": torch.cuda.get_device_name(0)
        if device == "cuda"
        else f"{os.cpu_count()} CPU threads, {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "plan": state["plan"],
    }
    fresh = out_dir / "run.json.new"
    fresh.write_text(json.dumps(run, indent=2) + "\n")
    fresh.replace(out_dir / "run.json")


if __name__ == "__main__":
    fit(Path(sys.argv[1]), Path(sys.argv[2]))
