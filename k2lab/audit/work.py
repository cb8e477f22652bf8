"""A unit worked off: read, looked at, written; what every engine does, and what is done where a process dies of it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from k2lab import kept
from k2lab.audit.conditions import expression
from k2lab.audit.forms.base import unread
from k2lab.audit.looking import findings_of
from k2lab.audit.parts import PartWriter
from k2lab.audit.tables import EXCHANGES, LEFT_OUT, Builder
from k2lab.audit.units import Unit, tables_of
from k2lab.check.looking import Look

CAREFUL_ROWS = 32
"""Exchanges of a batch where a process died before: so many are lost with one that kills it again."""


AHEAD = 2
"""Units for each process that are begun or wait: so many are done anew after a kill."""

MOST_DEATHS = 20
"""Of one unit; then it is given up, and named."""

Told = Callable[[Unit, int], None]
"""Is told of a unit that is done, and how many rows it had."""

BY_WHERE = "by --where"
DIED = "a process died of it, or took too long"


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What is the same for every unit. ``where`` is a condition (:mod:`k2lab.audit.conditions`)."""

    folder: Path
    look: Look = field(default_factory=Look)
    vendor: str | None = None
    where: str = ""
    most_cpu_s: float = 60.0
    """Of a batch: a process that takes more ends, of the pool or of Ray, and what it was at is named."""


def exchanges_of(work: Work, unit: Unit, **sizes: int) -> Iterator[pa.Table]:
    """The exchanges of a unit; those that the condition does not take are left out, and said to be.

    A row that could not be read has no model that a condition could ask for: it stays.
    """
    wanted = expression(work.where) if work.where else None
    for table in tables_of(unit, work.vendor, **sizes):
        if wanted is None:
            yield table
        else:
            kept_rows = table.filter(wanted | pc.is_valid(pc.field("unknown")))
            yield kept_rows
            if kept_rows.num_rows < table.num_rows:
                taken = set(zip(kept_rows["row"].to_pylist(), kept_rows["item"].to_pylist(), strict=True))
                named = zip(table["row"].to_pylist(), table["item"].to_pylist(), strict=True)
                yield given_up(table.filter(pa.array([one not in taken for one in named])), f"{LEFT_OUT}{BY_WHERE}")


def worked(work: Work, unit: Unit) -> int:
    """Work a unit off, and leave its part; how many rows were read."""
    writer, rows = PartWriter(work.folder, [unit.number]), 0
    for table in exchanges_of(work, unit):
        with _within(work.most_cpu_s):
            found = findings_of(table, work.look)
        writer.take(found)
        rows += table.num_rows
    writer.finish()
    return rows


class Died(Exception):
    """The process that worked ended before its work did."""


def alone(unit: Unit, work: Work, tell: Told, run: Callable[..., int]) -> None:
    """A unit by itself, batch by batch: whichever batch kills its process is passed over and named.

    ``run`` calls a function in a process of its own, and raises :class:`Died` where that ends.
    """
    said = work.folder / f"careful-{unit.number:07d}"
    deadly: frozenset[int] = frozenset()
    for _ in range(MOST_DEATHS):
        said.unlink(missing_ok=True)
        try:
            rows = run(carefully, work, unit, deadly, said)
        except Died:
            at = int(said.read_text()) if said.is_file() else -1
        else:
            said.unlink(missing_ok=True)
            tell(unit, rows)
            return
        if at < 0 or at in deadly:
            break
        deadly |= {at}
    said.unlink(missing_ok=True)
    _give_up(unit, work)
    tell(unit, 0)


def _give_up(unit: Unit, work: Work) -> None:
    builder = Builder(unit.source.shown, unit.source.form, work.vendor)
    last = f" to {unit.row + unit.rows - 1:,}" if unit.rows > 0 else " on"
    builder.add(unit.row, unread(DIED, f"from row {unit.row:,}{last} nothing was looked at"))
    writer = PartWriter(work.folder, [unit.number])
    writer.take(findings_of(builder.table(), work.look))
    writer.finish()


def carefully(work: Work, unit: Unit, deadly: frozenset[int], said: Path) -> int:
    """The same in small batches, each named in a file before it is begun; ``deadly`` ones are not looked at."""
    writer, rows = PartWriter(work.folder, [unit.number]), 0
    for number, table in enumerate(exchanges_of(work, unit, batch_rows=CAREFUL_ROWS)):
        kept.write_whole(said, str(number), private=True)
        with _within(work.most_cpu_s):
            found = findings_of(given_up(table) if number in deadly else table, work.look)
        writer.take(found)
        rows += table.num_rows
    writer.finish()
    return rows


def end_when_late() -> None:
    """From now on a batch that takes too long ends this process, as the kernel ends it: no code of ours runs then."""
    global _ends
    _ends = True


_ends = False


@contextlib.contextmanager
def _within(most_cpu_s: float) -> Iterator[None]:
    """Limit the processor time of the block; a regular expression that never comes back holds Python, too."""
    if not _ends:
        yield
        return
    signal.setitimer(signal.ITIMER_VIRTUAL, most_cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def given_up(table: pa.Table, why: str = DIED) -> pa.Table:
    """Exchanges that are not looked at, each with the reason."""
    rows = table.num_rows
    columns = {
        "request": pa.nulls(rows, pa.large_binary()),
        "answer": pa.nulls(rows, pa.large_binary()),
        "sent": pa.nulls(rows, pa.large_binary()),
        "unknown": pa.array([why] * rows, pa.string()),
    }
    return pa.Table.from_arrays([columns.get(name, table[name]) for name in EXCHANGES.names], schema=EXCHANGES)
