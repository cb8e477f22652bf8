"""An audit from its paths to its output: begun, gone on with where it was ended, and finished."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import filelock

from k2lab import files, kept
from k2lab.audit import datasets, standardinput
from k2lab.audit.conditions import expression
from k2lab.audit.parts import Group, Part, Piece, parts_in
from k2lab.audit.sources import InputSource, Sources, legible_name, sources_of
from k2lab.audit.summary import AuditSummary, summed_up
from k2lab.audit.tallies import Tally
from k2lab.audit.units import PAIRS, UNIT_BYTES, Unit, changed, units_of
from k2lab.audit.work import Work
from k2lab.check.looking import Look
from k2lab.errors import InputError
from k2lab.findings import CATALOGUE
from k2lab.jsonable import as_json

STATE = ".k2lab-audit"
"""In the output folder: what an audit is of, and what it has so far."""

MANIFEST = "manifest.json"

FORMAT = 2

Engine = Literal["local", "ray"]

Tell = Callable[[str, float, float], None]
"""Is told how far it is: a line, how much, and of how much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditOptions:
    """What an audit is of.

    ``form`` says what records are and ``model`` which model answered, whatever they
    say themselves, ``vendor`` who served it where they do not; ``where`` is a
    condition on exchanges; ``names`` are the findings that count.
    """

    form: str | None = None
    model: str | None = None
    vendor: str | None = None
    where: str = ""
    names: Collection[str] = field(default_factory=lambda: frozenset(CATALOGUE))

    def to_json(self) -> dict[str, Any]:
        """Plain data, as an audit is known by it."""
        names = None if set(self.names) == set(CATALOGUE) else sorted(self.names)
        return {"form": self.form, "model": self.model, "vendor": self.vendor, "where": self.where, "names": names}


EVERYTHING = AuditOptions()


def run_audit(
    paths: Sequence[str],
    folder: Path,
    options: AuditOptions = EVERYTHING,
    *,
    engine: Engine = "local",
    workers: int | None = None,
    unit_bytes: int = UNIT_BYTES,
    tell: Tell = lambda line, done, of: None,
) -> AuditSummary:
    """Look at every exchange of files and folders; Parquet of the findings and ``summary.json`` are in ``folder`` then.

    The path ``-`` is standard input. An audit that was ended goes on where it was, and gives what it would have
    given. Raises :class:`InputError` for paths without exchanges, for a folder that
    holds anything else, and where a file has changed since an audit of it was begun.
    """
    if options.where:
        expression(options.where)
    stream = standardinput.opened() if standardinput.PATH in paths else None
    named = [path for path in paths if path != standardinput.PATH]
    sources = sources_of(named, options.form) if named or stream is None else Sources(found=())
    with _opened(folder) as state:
        if stream is not None:
            piped = standardinput.source_from(stream, state, _begun(state), options.form, unit_bytes, tell)
            sources = replace(sources, found=(piped, *sources.found))
        _bind(state, sources, options)
        tally = _tally_of(state)
        if tally is None:
            tally = _worked(state, folder, sources, options, engine, workers, unit_bytes, tell)
        summary = _summary(tally, sources, options)
        text = json.dumps(as_json(summary), indent=1, ensure_ascii=False)
        kept.write_whole(folder / "summary.json", text + "\n", private=True)
    return summary


def _worked(
    state: Path, folder: Path, sources: Sources, options: AuditOptions, engine: Engine, workers: int | None,
    unit_bytes: int, tell: Tell,
) -> Tally:  # fmt: skip
    units = _units(state, sources, unit_bytes)
    done = {number for part in parts_in(state) for number in part.units}
    look = Look(model=options.model, names=frozenset(options.names))
    work = Work(folder=state, look=look, vendor=options.vendor, where=options.where)
    missing = [unit for unit in units if unit.number not in done]
    _run(missing, work, engine, workers, _Progress(units, missing, tell))
    for source in sources.found:
        if changed(source):
            raise InputError(
                f"{source.path} has changed while it was looked at: run the audit again, into a new folder"
            )
    parts = parts_in(state)
    tally, pieces = _together(parts)
    total, written = sum(one.rows for found in pieces.values() for one in found), 0
    for rows in datasets.write(folder / "findings", state, pieces):
        written += rows
        tell(f"{written:,} of {total:,} rows written", written, total)
    kept.write_whole(state / "tally.json", json.dumps(tally.to_json()), private=True)
    for path in [*state.glob("part-*"), *state.glob(PAIRS)]:
        path.unlink()
    standardinput.forget(state)
    return tally


def _run(units: Sequence[Unit], work: Work, engine: Engine, workers: int | None, told: _Progress) -> None:
    if not units:
        return
    if engine == "ray":
        from k2lab.audit.cluster import run_on_ray

        run_on_ray(units, work, told)
    else:
        from k2lab.audit.processpool import run_locally

        run_locally(units, work, told, workers=workers)


class _Progress:
    """Says how many exchanges there were, and how much of the whole is done."""

    def __init__(self, units: Sequence[Unit], missing: Sequence[Unit], tell: Tell) -> None:
        self._tell, self._rows = tell, 0
        self._of = len(units)
        self._done = len(units) - len(missing)

    def __call__(self, unit: Unit, rows: int) -> None:
        self._done += 1
        self._rows += rows
        self._tell(f"{self._rows:,} exchanges, {self._done:,} of {self._of:,} pieces", self._done, self._of)


def _together(parts: Sequence[Part]) -> tuple[Tally, dict[Group, list[Piece]]]:
    tally = Tally()
    pieces: dict[Group, list[Piece]] = {}
    for part in parts:
        tally.add(part.tally)
        for group, found in part.pieces.items():
            pieces.setdefault(group, []).extend(found)
    return tally, pieces


def _summary(tally: Tally, sources: Sources, options: AuditOptions) -> AuditSummary:
    return summed_up(
        tally,
        sources=sources.found,
        refused=sources.refused,
        passed_over=sources.passed_over,
        options=options.to_json(),
    )


def _units(state: Path, sources: Sources, unit_bytes: int) -> list[Unit]:
    """The units, as they were cut when the audit was begun."""
    path = state / "units.json"
    if path.is_file():
        found: Any = files.read_json(path, "units of an audit")
        return [Unit(**{**one, "source": InputSource(**one["source"])}) for one in found]
    found_there = [standardinput.kept_in(source, state) for source in sources.found]
    units = units_of(found_there, state, unit_bytes=unit_bytes)
    plain = [asdict(unit) for unit in units]
    kept.write_whole(path, json.dumps(plain), private=True)
    return units


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[Path]:
    """The state of an audit in its output folder, held by one process at a time."""
    state = folder / STATE
    try:
        if folder.is_dir() and not state.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder} holds other files: choose an empty folder for --out, or a new one")
        state.mkdir(mode=kept.PRIVATE_FOLDER, parents=True, exist_ok=True)
        lock = filelock.FileLock(state / "lock", timeout=0, mode=kept.PRIVATE_FILE)
        lock.acquire()
    except filelock.Timeout:
        raise InputError(f"another audit is writing into {folder}: wait for it, or choose another folder") from None
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}") from None
    try:
        yield state
    finally:
        if not (state / MANIFEST).is_file():
            shutil.rmtree(state, ignore_errors=True)
        lock.release()


def _bind(state: Path, sources: Sources, options: AuditOptions) -> None:
    """Hold an audit to the files and options that it was begun with; raises where one of them differs."""
    begun, manifest = _begun(state), _manifest(sources, options)
    if begun is None:
        kept.write_whole(state / MANIFEST, json.dumps(manifest, indent=1), private=True)
        return
    if begun == manifest:
        return
    raise InputError(
        f"{state.parent} holds an audit {_differs(begun, manifest)}: choose a new folder for --out, or remove it"
    )


def _begun(state: Path) -> Any:
    """What the audit in a folder is of; ``None`` where none was begun."""
    path = state / MANIFEST
    return files.read_json(path, "manifest of an audit") if path.is_file() else None


def _manifest(sources: Sources, options: AuditOptions) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "k2lab": version("k2lab"),
        "options": options.to_json(),
        "sources": [asdict(source) for source in sources.found],
    }


def _differs(begun: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In what an audit that was begun is another one."""
    if not isinstance(begun, Mapping) or begun.get("format") != now["format"] or begun.get("k2lab") != now["k2lab"]:
        return "of another k2lab"
    had, have = begun.get("options") or {}, now["options"]
    for name, value in have.items():
        if had.get(name) != value:
            return f"with another --{name.replace('names', 'select or --ignore')}"
    old, new = ({_name(source): source for source in one.get("sources") or ()} for one in (begun, now))
    for path in sorted({*old, *new}):
        if path in old and path in new and old[path] != new[path] and new[path].get("digest"):
            return f"of another {path}"
        if old.get(path) != new.get(path):
            what = "which has changed since" if path in old and path in new else "and not the same files"
            return f"of {legible_name(path)}, {what}" if path in old else f"without {legible_name(path)}"
    return "of other files"


def _name(source: Mapping[str, Any]) -> str:
    return str(source.get("name") or source["path"])


def _tally_of(state: Path) -> Tally | None:
    """What a finished audit came to; ``None`` where it is not finished."""
    path = state / "tally.json"
    return Tally.of_json(files.read_json(path, "tally of an audit")) if path.is_file() else None  # type: ignore[arg-type]


def forget(folder: Path) -> None:
    """Remove what an audit left in a folder, and nothing else."""
    shutil.rmtree(folder / STATE, ignore_errors=True)
    shutil.rmtree(folder / "findings", ignore_errors=True)
    for name in ("summary.json", "report.html"):
        (folder / name).unlink(missing_ok=True)
