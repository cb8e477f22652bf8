"""An audit on Ray: units by Ray Data's ``map_batches``, each worked off as a process of this machine would.

Files, and the output folder's state, must lie where every node finds them under
the same path. The units under way are what being killed loses.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from k2lab.audit.units import Unit
from k2lab.audit.work import Died, Told, Work, alone, end_when_late, worked
from k2lab.bench.vendor_actors import connected
from k2lab.errors import EngineError, first_line

PASSING = {"max_errored_blocks": -1, "enable_progress_bars": False, "print_on_execution_start": False}
"""How Ray Data is set for an audit: any number of units may fail, and it shows no progress."""


def run_on_ray(units: Sequence[Unit], work: Work, tell: Told) -> None:
    """Work units off on the cluster of ``RAY_ADDRESS``, or on a local Ray that then ends.

    A batch that takes too long, or kills its worker, is given up and named as in
    processes of this machine. Raises :class:`~k2lab.errors.EngineError` where Ray fails.
    """
    with contextlib.redirect_stdout(sys.stderr), connected():  # Ray says on it, to its end, that a worker died
        import ray

        waiting = {unit.number: unit for unit in units}
        with _failing(ray), letting_units_fail():
            for number, rows in _worked_off(dict(waiting), work):
                tell(waiting.pop(number), rows)
        for unit in waiting.values():  # their worker died, or did so beside them
            alone(unit, work, tell, partial(_in_one, ray))


@contextlib.contextmanager
def letting_units_fail() -> Iterator[None]:
    """Ray Data passes over units that fail in the block, and says nothing; behind it, it is set as it was before."""
    import ray.data

    context: Any = ray.data.DataContext.get_current()
    log = logging.getLogger("ray.data")
    before, level = {name: getattr(context, name) for name in PASSING}, log.level
    try:
        _set(context, PASSING)
        log.setLevel(logging.CRITICAL)
        yield
    finally:
        _set(context, before)
        log.setLevel(level)


def _set(context: Any, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        setattr(context, name, value)


def _worked_off(units: Mapping[int, Unit], work: Work) -> Iterator[tuple[int, int]]:
    """The numbers of units, each with its rows, as they are done; those whose workers died are left out."""
    import ray.data

    numbers = ray.data.from_items([{"unit": number} for number in units], override_num_blocks=len(units))
    done = numbers.map_batches(partial(_batch, work, units), batch_size=1, batch_format="pyarrow", max_retries=0)
    table: Any
    for table in done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from zip(table["unit"].to_pylist(), table["rows"].to_pylist(), strict=True)


def _batch(work: Work, units: Mapping[int, Unit], batch: pa.Table) -> pa.Table:
    """In a worker: the units that a batch names, each with the rows that it had."""
    numbers = batch["unit"].to_pylist()
    return pa.table({"unit": numbers, "rows": [_limited(worked, work, units[number]) for number in numbers]})


def _in_one(ray: Any, function: Callable[..., int], *given: object) -> int:
    """A function's value, from a worker that tries it once; raises :class:`Died` where it did not live to give it."""
    failures = ray.exceptions
    with _failing(ray):
        try:
            return int(ray.get(ray.remote(max_retries=0)(_limited).remote(function, *given)))
        except (failures.WorkerCrashedError, failures.OutOfMemoryError) as error:
            raise Died from error


def _limited(function: Callable[..., int], *given: object) -> int:
    """In a worker."""
    end_when_late()
    return function(*given)


@contextlib.contextmanager
def _failing(ray: Any) -> Iterator[None]:
    """Ray's own failures in the block are said in a line."""
    try:
        yield
    except ray.exceptions.RayError as error:
        raise EngineError(f"Ray failed, run the audit again to go on: {first_line(error)}") from error
