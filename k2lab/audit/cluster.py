"""An audit on Ray: the same function over the same exchanges in Ray Data's ``map_batches``, a wave of units at a time.

Files, and the output folder's state, must lie where every node finds them under
the same path. A wave is what being killed loses.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from k2lab.audit.looking import findings_of
from k2lab.audit.parts import PartWriter
from k2lab.audit.units import BATCH_ROWS, Unit
from k2lab.audit.work import Work, exchanges_of
from k2lab.bench.vendor_actors import connected
from k2lab.errors import EngineError, first_line

WAVE = 4
"""Units of a wave for each core of the cluster."""


def run_on_ray(units: Sequence[Unit], work: Work, tell: Callable[[Unit, int], None]) -> None:
    """Work units off on the cluster of ``RAY_ADDRESS``, or on a local Ray that then ends.

    Raises :class:`~k2lab.errors.EngineError` where Ray fails.
    """
    with connected():  # before Ray is imported: it reads then where it may listen
        import ray
        import ray.data

        context: Any = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        resources: Any = ray.cluster_resources  # Ray types it for none of its callers
        size = WAVE * max(1, int(resources().get("CPU", 1)))
        for start in range(0, len(units), size):
            wave = units[start : start + size]
            try:
                _wave(ray.data, wave, work)
            except ray.exceptions.RayError as error:
                raise EngineError(f"Ray failed, run the audit again to go on: {first_line(error)}") from error
            for unit in wave:
                tell(unit, max(unit.rows, 0))


def _wave(data: Any, wave: Sequence[Unit], work: Work) -> None:
    writer = PartWriter(work.folder, [unit.number for unit in wave])
    by_number = {unit.number: unit for unit in wave}
    numbers = data.from_items([{"unit": unit.number} for unit in wave], override_num_blocks=len(wave))
    read = numbers.map_batches(partial(_read, work, by_number), batch_size=1, batch_format="pyarrow")
    found = read.map_batches(
        partial(findings_of, look=work.look), batch_size=BATCH_ROWS, batch_format="pyarrow", zero_copy_batch=True
    )
    for table in found.iter_batches(batch_size=None, batch_format="pyarrow"):
        writer.take(table)
    writer.finish()


def _read(work: Work, units: dict[int, Unit], batch: pa.Table) -> Iterator[pa.Table]:
    """The exchanges of the units that a batch names."""
    for number in batch["unit"].to_pylist():
        yield from exchanges_of(work, units[number])
