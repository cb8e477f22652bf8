"""``summary.json``: what became of each notebook, those of earlier runs beside them, and how long each took."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from k2lab import files, kept
from k2lab.errors import InputError
from k2lab.notebook.runs import Run

FILE = "summary.json"
MOST_S = 1e7
"""Seconds: what says that a notebook took longer is not believed."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the summary says of one notebook's run."""

    name: str
    error: str
    """Empty where every check held."""
    seconds: float
    waited_s: float
    parameters: Mapping[str, Any]
    results: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file; the URLs of the day's servers are left out."""
        return {
            "status": "failed" if self.error else "passed",
            "error": self.error,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            "waited_s": round(self.waited_s, 1),
            "parameters": _kept(self.parameters),
            "servers": list(self.parameters.get("servers", {})),
            "made_with": made_with(),
            "results": dict(self.results),
        }


def made_with() -> dict[str, str]:
    """What runs a notebook here."""
    return {
        "k2lab": version("k2lab"),
        "python": platform.python_version(),
        "hardware": f"{os.cpu_count()} CPU threads, {platform.machine()}, {platform.system()}",
    }


def run_of(entry: Entry) -> Run:
    """The run of an entry, as one reads it in the file."""
    return Run.of(entry.name, entry.to_json(), {})


def write(path: Path, entry: Entry) -> None:
    """Put an outcome beside those of other notebooks; a file that is no summary is replaced."""
    _put(path, {**_reports(path), entry.name: entry.to_json()})


def mark_failed(path: Path, name: str, error: str) -> None:
    """Say of a run that is in the file that it failed after all."""
    reports = _reports(path)
    known = reports.get(name)
    _put(path, {**reports, name: {**(known if isinstance(known, dict) else {}), "status": "failed", "error": error}})


def begin(path: Path, name: str) -> None:
    """Mark what an earlier run left under a name as of a run that has not ended; the times of a passed one stay."""
    reports = _reports(path)
    if name in reports:
        match reports[name]:
            case {"status": "passed" | "unfinished"} as known:
                times = known
            case _:
                times = {}
        state = {"status": "unfinished", "error": "this run has not ended", "results": {}}
        _put(path, {**reports, name: {**times, **state}})


def _put(path: Path, reports: Mapping[str, Any]) -> None:
    content = {**made_with(), "reports": dict(sorted(reports.items()))}
    kept.write_whole(path, json.dumps(content, indent=2) + "\n", private=True)


def usual_seconds(path: Path, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """What each notebook took, its wait included, where it last passed with the parameters that are wanted now."""
    reports = _reports(path, tell=True)
    found: dict[str, float] = {}
    for name, parameters in wanted.items():
        match reports.get(name):
            case {
                "status": "passed" | "unfinished",
                "seconds": int() | float() as seconds,
                "parameters": dict() as known,
                **more,
            }:
                if known == json.loads(json.dumps(_kept(parameters))):
                    waited_s = more.get("waited_s")
                    if 0 <= seconds < MOST_S:
                        found[name] = seconds + (waited_s if isinstance(waited_s, float) and waited_s < MOST_S else 0.0)
    return found


def _kept(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key != "servers"}


def _reports(path: Path, *, tell: bool = False) -> dict[str, Any]:
    """The outcomes in a file; none where it is not there, or is no summary, which ``tell`` says."""
    if not os.path.lexists(path):
        return {}
    try:
        match files.read_json(path, "summary"):
            case {"reports": dict() as reports}:
                return reports
        why = f"{path} is no summary of reports"
    except InputError as error:
        why = str(error)
    if tell:
        logger.warning("%s: it is written anew, without what it held of other notebooks", why)
    return {}
