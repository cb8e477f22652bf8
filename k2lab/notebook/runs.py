"""A notebook's run as ``summary.json`` tells it: read without trust, since the file may come from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2lab import files
from k2lab.errors import InputError
from k2lab.legible import one_line
from k2lab.notebook.figures import Group, groups

LONGEST = 200
"""Characters of a name, a version, a parameter."""

VERSIONS = frozenset({"k2lab", "python", "hardware"})
STATES = ("passed", "failed", "unfinished")


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What became of one notebook, with what, and when."""

    name: str
    state: str
    """One of :data:`STATES`; what says something else is unfinished."""
    error: str
    finished: str
    seconds: float
    waited_s: float
    parameters: Mapping[str, str]
    servers: tuple[str, ...]
    versions: Mapping[str, str]
    """``k2lab``, ``python`` and ``hardware``."""
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, name: str, entry: object, versions: Mapping[str, object]) -> Run:
        """From an entry of the summary; whatever is not as it should be is left out."""
        given: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
        return cls(
            name=one_line(name, LONGEST),
            state=state if (state := given.get("status")) in STATES else "unfinished",
            error=one_line(given.get("error") or "", 2000),
            finished=one_line(given.get("finished") or "", 40),
            seconds=_seconds(given.get("seconds")),
            waited_s=_seconds(given.get("waited_s")),
            parameters=_words(given.get("parameters")),
            servers=tuple(one_line(one, LONGEST) for one in _listed(given.get("servers"))),
            versions=_words({**versions, **_mapping(given.get("made_with"))}),
            groups=groups(_mapping(given.get("results"))),
        )

    @property
    def day(self) -> str:
        """When it ended, as one reads it."""
        return self.finished.replace("T", " ").replace("+00:00", " UTC")

    @property
    def took(self) -> str:
        """How long it ran."""
        minutes, rest = divmod(round(self.seconds), 60)
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def read_runs(path: Path) -> dict[str, Run]:
    """The runs that a summary tells of, by notebook.

    Raises :class:`InputError` where the file is not there, can't be read, or is no summary.
    """
    return runs_in(files.read_json(path, "summary"), path)


def runs_in(content: object, path: Path) -> dict[str, Run]:
    """The runs of a summary that has been read."""
    match content:
        case {"reports": dict() as reports, **more}:
            versions = {name: said for name, said in more.items() if name in VERSIONS}
            return {name: Run.of(name, entry, versions) for name, entry in reports.items()}
    raise InputError(f"{path} is no summary of reports: it has no object 'reports'; k2lab report writes one")


def _words(value: object) -> dict[str, str]:
    return {one_line(name, LONGEST): one_line(inner, LONGEST) for name, inner in _mapping(value).items()}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e7 else 0.0
