"""Which server is started and ended at which notebook of a run, so that each is started once and few run at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One notebook of a run, and the servers that come and go with it."""

    notebook: str
    needs: tuple[str, ...]
    """Servers that must be up before it runs."""
    starts: tuple[str, ...]
    """Servers whose start begins with this step, its own first; those of later notebooks come up while it runs."""
    ends: tuple[str, ...]
    """Servers that nobody needs after it."""


def plan(needs: Sequence[tuple[str, Collection[str]]], *, at_once: int) -> tuple[Step, ...]:
    """Steps for notebooks in order, ``(name, servers it needs)``, with at most ``at_once`` servers alive.

    A server is alive from the step that starts it to the step that ends it, and
    is never started twice. So ``at_once`` is passed where a step's own servers,
    with those that an earlier one used and a later one will use again, are more.

    >>> [step.starts for step in plan([("a", ["x"]), ("b", ["y"]), ("c", ["x", "z"])], at_once=2)]
    [('x', 'y'), (), ('z',)]
    """
    last = {server: place for place, (_, servers) in enumerate(needs) for server in servers}
    order = list(dict.fromkeys(server for _, servers in needs for server in servers))
    alive: set[str] = set()
    steps = []
    for place, (notebook, servers) in enumerate(needs):
        starts = _starts(order, set(servers), len(alive), at_once)
        alive |= set(starts)
        ends = tuple(server for server in dict.fromkeys(servers) if last[server] == place)
        alive -= set(ends)
        order = order[len(starts) :]
        steps.append(Step(notebook=notebook, needs=tuple(dict.fromkeys(servers)), starts=starts, ends=ends))
    return tuple(steps)


def _starts(waiting: Sequence[str], own: Collection[str], alive: int, at_once: int) -> tuple[str, ...]:
    """The next of those that wait, in order of first use: a step's own, and as many more as there is room for."""
    must = sum(server in own for server in waiting)
    return tuple(waiting[: max(must, at_once - alive)])
