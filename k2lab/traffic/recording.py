"""Recording between two processes: what is asked of the one that writes, and what it tells of each exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from k2lab.errors import InputError
from k2lab.traffic.redaction import Redaction
from k2lab.traffic.retention import Retention

Outcome = Literal["written", "left_out", "dropped", "failed"]
"""What became of an exchange: it is safe; the sample lacks it (it is written later where something is found in it);
there was no room for it to wait; the file could not be written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordOptions:
    """What is recorded, and how: into a file, or into a folder with a Parquet file an hour.

    ``sample`` is the share that is kept of what has no finding, by a hash of the
    key. ``most_waiting`` and ``waiting_bytes`` bound what waits for the disk;
    a batch that cannot be written is tried for ``patience_s``, and ``drain_s`` is
    for what waits when the recorder is closed.
    """

    path: Path
    form: Literal["sqlite", "parquet"] = "sqlite"
    look: bool = True
    sample: float = 1.0
    redaction: Redaction = field(default_factory=Redaction)
    retention: Retention = field(default_factory=Retention)
    durable: bool = False
    most_waiting: int = 20_000
    waiting_bytes: int = 256 << 20
    patience_s: float = 5.0
    drain_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.sample <= 1:
            raise InputError(f"the sample must be a share between 0 and 1, found {self.sample}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Begin:
    """The first that the writer is sent; it answers with ``""``, or with why it cannot write, in one line.

    Where one before it ended without being asked to, ``again`` is how many of the
    exchanges that come may be in the file already, and what cannot be written yet is tried again.

    From then on it is sent the values of a :class:`~k2lab.traffic.caught.Caught` for each exchange, a number for
    exchanges that were lost (the file counts them), and at last ``None``.
    """

    options: RecordOptions
    again: int | None = None


class Told(NamedTuple):
    """What the writer tells: what became of the next exchanges in their order, and what it counted since it told last.

    ``counts`` has the counters of a :class:`~k2lab.traffic.recorder.Recorder`,
    and as ``decided`` how many of those that were left out at first were decided on;
    ``lines`` are for the log, each with its level. All but the first two are mostly ``None``.
    """

    outcomes: Sequence[Outcome] = ()
    counts: Mapping[str, int] = {}
    findings: Mapping[tuple[str, str], int] | None = None
    redacted: Mapping[str, int] | None = None
    lines: Sequence[tuple[int, str]] | None = None
