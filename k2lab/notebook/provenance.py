"""What a notebook's results were made with: versions, model, templates, hardware, time."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from k2lab import paths
from k2lab.nano import folders
from k2lab.notebook.subjects import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class Origins:
    """What results were made with, fact by fact."""

    facts: Mapping[str, str]


def origins(subjects: Mapping[str, Subject], more: Mapping[str, str] | None = None) -> Origins:
    """Of k2lab and this machine, of each server, and ``more`` that the notebook knows."""
    models = {folders.VARIANTS[subject.variant].model for subject in subjects.values()}
    facts = {
        "k2lab": version("k2lab"),
        "jinja2 (rendering by hand)": version("jinja2"),
        **{
            f"{model} weights, sha256": _sha256(paths.data_dir() / "models" / model / "model.safetensors")
            for model in sorted(models)
        },
        "hardware": f"{os.cpu_count()} CPU threads, {platform.machine()}, Python {platform.python_version()}",
        "time": datetime.now(UTC).isoformat(timespec="minutes"),
    }
    served = {f"server {subject.name}": _served(subject) for subject in subjects.values()}
    return Origins(facts={**facts, **served, **(more or {})})


def _served(subject: Subject) -> str:
    template = subject.folder / "chat_template.jinja"
    made_by = f"template sha256 {_sha256(template)[:12]}…" if template.exists() else "no template"
    summary = folders.VARIANTS[subject.variant].summary
    running = subject.endpoint.version() or "version not given"
    return f"vLLM {running}; {summary}; {made_by}"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
