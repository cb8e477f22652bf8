"""Where an arm stands beside what K2-Vendor-Verifier published of its model, by intervals: normal, or not.

What is accepted is K2VV's for F1, and for schema accuracy, of which it names no
bound, Moonshot's API less :data:`MARGIN`. A standing is never a guess: where the
interval holds the bar it says how many requests would tell, and where a
condition of the published run is known not to hold it compares nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

from k2lab import families, paths, stats
from k2lab.bench import published
from k2lab.bench.metrics import K2vv, Trigger, overlap_of
from k2lab.bench.published import Table
from k2lab.stats import Share, share

Figure = Literal["tool_call_f1", "schema_accuracy"]
Stand = Literal["within", "below", "above", "cannot be said", "not comparable"]

MARGIN = 0.01
"""How far below Moonshot's API a schema accuracy may be: our own choice, as K2VV names no bound."""

HALF = 2
"""K2VV gives away every second of its requests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """What must hold for a comparison; ``holds`` is ``None`` where no file says it."""

    what: str
    holds: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """One figure of an arm beside the bar; shares of 1, the interval at 95 %.

    ``within``: all of the interval is at the bar or over it; ``below``: all of it
    is under the bar; ``above``: all of an F1's is over what Moonshot's API agrees
    with itself, which calls for a look at the reference. ``needed``: how many
    requests would tell with a power of 80 %, if the figure stayed what it is.
    """

    figure: Figure
    stand: Stand
    value: float
    low: float
    high: float
    requests: int
    bar: float
    average: float
    """What Moonshot's API has: on average against itself, or of its own calls."""
    needed: int | None
    alike: tuple[str, ...]
    """Published vendors that it cannot be told apart from; of F1 too few figures are printed."""
    conditions: tuple[Condition, ...]
    model: str
    date: str
    url: str

    @property
    def said(self) -> str:
        """The stand in a line, with the reason or the next step."""
        if self.stand == "not comparable":
            return f"not comparable: {'; '.join(item.what for item in self.conditions if item.holds is False)}"
        if self.stand == "above":
            return f"above the {self.average:.0%} of Moonshot's API against itself: is the reference this very run?"
        if self.stand != "cannot be said":
            return self.stand
        known = f"cannot be said with n = {self.requests:,}"
        return (
            f"{known}: it takes about {_rounded(self.needed)}" if self.needed else f"{known}: it is at the bar itself"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """How an arm's requests were sent: how many, with which values of a few fields, and by whom it is measured."""

    requests: int
    values: Mapping[str, frozenset[object]]
    """Values of ``temperature`` and ``max_tokens`` over all requests, ``None`` where one names none."""
    official: bool | None = None
    """Whether the reference is a run of Moonshot's API, where that is known."""
    reference_models: frozenset[str] = frozenset()
    """What its requests call the model."""


def standings(model: str, counts: K2vv, trigger: Trigger | None, asked: Asked) -> tuple[Standing, ...]:
    """F1, where there is a reference, and schema accuracy; empty where nothing was published: :func:`unplaced`."""
    table = published.table_of(model)
    if table is None:
        return ()
    common = (*_of_requests(asked.requests, table), *_of_settings(asked.values, table))
    found = []
    if trigger and trigger.overlap.total:
        found.append(
            _of_f1(
                trigger,
                table,
                asked.requests,
                (*common, *_of_reference(asked, table), *_of_failures(counts.failure_count)),
            )
        )
    if counts.finish_tool_calls:
        found.append(_of_accuracy(counts.schema_accuracy, table, asked.requests, common))
    return tuple(found)


def unplaced(model: str) -> str:
    """Why nothing published is set beside a model of that name; empty where something is."""
    if published.table_of(model):
        return ""
    if not model:
        return "the requests name no model: --model says which published one it is"
    if published.is_stand_in(model):
        return f"{model!r} is a stand-in, not a Kimi model: no published figures are set beside it"
    if not published.is_kimi(model):
        return f"{model!r} is not a Kimi model by its name: where it is one of those published, --model says which"
    known = ", ".join(dict.fromkeys(table.model for table in published.published_tables()))
    if not known:
        return f"{paths.data_dir()} has no folder published, whose figures are set beside a run"
    return f"no accepted F1 is published for {model!r}, only for {known}"


def model_of(served: str, given: str | None) -> str:
    """The model that an arm asked: ``given``, but where the name that is served says another.

    >>> model_of("default", "kimi-k2-thinking"), model_of("k2-nano", "kimi-k2-thinking")
    ('kimi-k2-thinking', 'k2-nano')
    """
    if given is None or published.is_stand_in(served) or published.published_name(served):
        return served
    own = families.of_model(served) if published.is_kimi(served) else None
    return given if own in (None, families.of_model(given)) else served


def _of_f1(trigger: Trigger, table: Table, requests: int, conditions: tuple[Condition, ...]) -> Standing:
    low, high = trigger.f1_interval
    stand, needed = _stand(trigger.overlap, overlap_of(table.f1_accepted), requests, conditions)
    return Standing(
        figure="tool_call_f1",
        stand="above" if stand == "within" and low > table.f1_average else stand,
        value=trigger.f1,
        low=low,
        high=high,
        requests=requests,
        bar=table.f1_accepted,
        average=table.f1_average,
        needed=needed,
        alike=(),
        conditions=conditions,
        model=table.model,
        date=table.date,
        url=table.url,
    )


def _of_accuracy(right: Share, table: Table, requests: int, conditions: tuple[Condition, ...]) -> Standing:
    official = table.official.successful / table.official.calls
    stand, needed = _stand(right, official - MARGIN, requests, conditions)
    return Standing(
        figure="schema_accuracy",
        stand=stand,
        value=right.value,
        low=right.low,
        high=right.high,
        requests=requests,
        bar=official - MARGIN,
        average=official,
        needed=needed,
        alike=tuple(_alike(right, table)) if stand != "not comparable" else (),
        conditions=conditions,
        model=table.model,
        date=table.date,
        url=table.url,
    )


def _stand(found: Share, bar: float, requests: int, conditions: Iterable[Condition]) -> tuple[Stand, int | None]:
    """Where the interval is, and of how many requests it would leave the bar outside, where it does not."""
    if any(condition.holds is False for condition in conditions):
        return "not comparable", None
    if found.low >= bar:
        return "within", None
    if found.high < bar:
        return "below", None
    try:
        needed = stats.needed_against(found.value, bar)
    except ValueError:
        return "cannot be said", None
    return "cannot be said", ceil(needed * requests / found.total)


def _alike(right: Share, table: Table) -> Iterable[str]:
    for vendor in table.vendors:
        low, high = stats.difference(right, share(vendor.successful, vendor.calls))
        if low <= 0 <= high:
            yield vendor.name


def _of_requests(requests: int, table: Table) -> Iterable[Condition]:
    if requests > table.requests:
        yield Condition(what=f"{requests:,} requests are more than K2VV's {table.requests:,}", holds=False)
    elif requests in (table.requests, table.requests // HALF):
        yield Condition(what=f"the {requests:,} requests are K2VV's own")
    else:
        yield Condition(
            what=f"the {requests:,} requests are drawn at random from K2VV's {table.requests:,}, not its first ones"
        )


def _of_settings(values: Mapping[str, frozenset[object]], table: Table) -> Iterable[Condition]:
    for name, wanted in table.settings.items():
        found = values.get(name, frozenset())
        others = found - {wanted, None}
        if others:
            said = ", ".join(sorted(map(str, others)))
            yield Condition(what=f"{name} was {said}, and {wanted:g} in the published run", holds=False)
        else:
            yield Condition(what=f"{name} is {wanted:g}", holds=True if found == {wanted} else None)


def _of_reference(asked: Asked, table: Table) -> Iterable[Condition]:
    others = sorted(name for name in asked.reference_models if not _may_be(name, table.model))
    if others:
        yield Condition(what=f"the reference asked {', '.join(others)}", holds=False)
    elif asked.official is False:
        yield Condition(what="the reference is no run of Moonshot's API", holds=False)
    else:
        yield Condition(what="the reference is a run of Moonshot's API", holds=asked.official)


def _of_failures(failed: int) -> Iterable[Condition]:
    if failed:
        yield Condition(what=f"the {failed:,} requests that failed count as answers that do not call")


def _may_be(name: str, published_model: str) -> bool:
    """Whether a model's name leaves it open that it is the published one."""
    return published.published_name(model_of(name, published_model)) == published_model


def _rounded(number: int) -> str:
    """Two digits, as more would say what is not known."""
    scale = 10 ** max(len(str(number)) - 2, 0)
    return f"{ceil(number / scale) * scale:,}"
