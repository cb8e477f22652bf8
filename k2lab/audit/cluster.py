"""An audit on Ray: a unit a task, worked off as a process of this machine would, wherever the cluster has room.

Files, and the output folder's state, must lie where every node finds them under
the same path. The units under way are what being killed loses.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from k2lab.audit.units import Unit
from k2lab.audit.work import AHEAD, Died, Told, Work, alone, end_when_late, worked
from k2lab.bench.vendor_actors import connected
from k2lab.errors import EngineError, first_line


def run_on_ray(units: Sequence[Unit], work: Work, tell: Told) -> None:
    """Work units off on the cluster of ``RAY_ADDRESS``, or on a local Ray that then ends.

    A batch that takes too long, or kills its worker, is given up and named as in
    processes of this machine. Raises :class:`~k2lab.errors.EngineError` where Ray fails.
    """
    with contextlib.redirect_stdout(sys.stderr), connected():  # Ray says on it, to its end, that a worker died
        import ray

        cluster = _Cluster(ray)
        for unit in cluster.worked_off(units, work, tell):
            alone(unit, work, tell, cluster.run)


class _Cluster:
    """Tasks of a Ray that is connected; one whose worker dies is not tried again."""

    def __init__(self, ray: Any) -> None:
        self._ray, self._task = ray, ray.remote(max_retries=0)(_limited)
        self._most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))

    def worked_off(self, units: Sequence[Unit], work: Work, tell: Told) -> list[Unit]:
        """Work units off; those whose workers died are given back."""
        waiting, running, suspects = list(reversed(units)), dict[Any, Unit](), list[Unit]()
        while waiting or running:
            while waiting and len(running) < self._most:
                unit = waiting.pop()
                running[self._task.remote(worked, work, unit)] = unit
            (done, *_), _ = self._ray.wait(list(running))
            unit = running.pop(done)
            try:
                tell(unit, self._result(done))
            except Died:
                suspects.append(unit)
        return suspects

    def run(self, function: Callable[..., int], *given: object) -> int:
        """A function's value, from a worker; raises :class:`Died` where the worker did not live to give it."""
        return self._result(self._task.remote(function, *given))

    def _result(self, task: Any) -> int:
        failures = self._ray.exceptions
        try:
            return int(self._ray.get(task))
        except (failures.WorkerCrashedError, failures.OutOfMemoryError) as error:
            raise Died from error
        except failures.RayError as error:
            raise EngineError(f"Ray failed, run the audit again to go on: {first_line(error)}") from error


def _limited(function: Callable[..., int], *given: object) -> int:
    """In a worker."""
    end_when_late()
    return function(*given)
