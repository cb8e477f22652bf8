"""What was published of Kimi's vendors: the figures of ``data/published``, each with its source, date and model.

A row is one printed figure. A :class:`Table` is what K2-Vendor-Verifier says of
one model at one date: Moonshot's API, what it agrees with itself, the F1 that
is accepted, and every vendor.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from k2lab import families, files, paths

OFFICIAL = "MoonshotAI"
"""The provider that the others are measured by: Moonshot's own API."""

HOSTS = ("api.moonshot.ai", "api.moonshot.cn")

RELEASE = re.compile(r"(?<!\d)0905(?!\d)")
STAND_IN = re.compile(r"(?<![a-z])(?:nano|tiny|toy|dummy|random)(?![a-z])")
"""What a small model is called that is only shaped like Kimi's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One figure as it was printed; ``value`` is a count, or a share of 1."""

    source: str
    date: str
    requests: int
    model: str
    provider: str
    api_source: str
    setting: str
    metric: str
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Vendor:
    """A provider's row: answers that end as tool calls, and those of them whose calls keep their schemas."""

    provider: str
    api_source: str
    calls: int
    successful: int
    f1: float | None
    f1_at_least: float | None
    """Where several rows share one cell, such as ``>=80%``."""

    @property
    def name(self) -> str:
        """The provider, and through whom it was reached where that says more."""
        host = self.api_source.partition("://")[2].removeprefix("www.")
        return f"{self.provider} by {host}" if host == "openrouter.ai" else self.provider


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """What K2VV published of one model at one date; F1 figures are shares of 1."""

    source: str
    url: str
    date: str
    requests: int
    model: str
    settings: Mapping[str, float]
    """With which the requests were sent, where the source says so."""
    official: Vendor
    vendors: tuple[Vendor, ...]
    f1_accepted: float
    f1_average: float
    """Of several runs of Moonshot's API against one of them."""
    f1_lowest: float


@cache
def rows() -> tuple[Row, ...]:
    """Every figure, in the order of the file; none where ``K2LAB_DATA`` is a folder without them."""
    if not _folder().is_dir():
        return ()
    lines = files.read_text(_folder() / "results.csv", "published figures").splitlines()
    return tuple(
        Row(**{**row, "requests": int(row["requests"]), "value": float(row["value"])})  # type: ignore[arg-type]
        for row in csv.DictReader(lines)
    )


@cache
def published_tables() -> tuple[Table, ...]:
    """The tables of K2VV that say which F1 is accepted, the oldest first."""
    accepted = [row for row in rows() if row.metric == "tool_call_f1_acceptable_above"]
    return tuple(_table(row) for row in sorted(accepted, key=lambda row: row.date))


def table_of(model: str, date: str | None = None) -> Table | None:
    """What K2VV published of a model by its own or another's name for it; the latest where no date is said.

    >>> table_of("moonshotai/Kimi-K2-Thinking").f1_accepted
    0.73
    >>> table_of("kimi-k2-0905-preview", "2025-10-23").official.calls
    1274
    """
    name = published_name(model)
    if name is None:
        return None
    found = [table for table in published_tables() if table.model == name and date in (None, table.date)]
    return found[-1] if found else None


def published_name(model: str) -> str | None:
    """What K2VV calls a model that a server, a path or a repository names; ``None`` for what it has no figures of."""
    family = families.of_model(model) if is_kimi(model) else None
    if family is families.K2_THINKING:
        return "kimi-k2-thinking"
    return "kimi-k2-0905-preview" if family is families.K2 and RELEASE.search(model) else None


def is_kimi(model: str) -> bool:
    """Whether a name says that this is one of Kimi's models; that of a stand-in does not."""
    return "kimi" in model.lower() and not is_stand_in(model)


def is_stand_in(model: str) -> bool:
    """Whether a name says that this is a small model, only shaped like another."""
    return STAND_IN.search(model.lower()) is not None


def is_official(endpoint: str) -> bool:
    """Whether an address is of Moonshot's own API.

    >>> is_official("https://api.moonshot.ai/v1"), is_official("http://127.0.0.1:8000/v1")
    (True, False)
    """
    return (urlsplit(endpoint).hostname or "") in HOSTS


def _table(accepted: Row) -> Table:
    told = _sources()[accepted.source]
    printed = [row for row in rows() if (row.source, row.model) == (accepted.source, accepted.model)]
    said = {row.metric: row.value for row in printed if row.metric.startswith("tool_call_f1_")}
    providers = dict.fromkeys((row.provider, row.api_source) for row in printed if row.metric == "finish_tool_calls")
    vendors = [_vendor(*provider, printed) for provider in providers]
    return Table(
        source=accepted.source,
        url=told["url"],
        date=accepted.date,
        requests=accepted.requests,
        model=accepted.model,
        settings=told.get("settings", {}).get(accepted.model, {}),
        official=next(vendor for vendor in vendors if vendor.provider == OFFICIAL),
        vendors=tuple(vendor for vendor in vendors if vendor.provider != OFFICIAL),
        f1_accepted=accepted.value,
        f1_average=said["tool_call_f1_average"],
        f1_lowest=said["tool_call_f1_lowest"],
    )


def _vendor(provider: str, api_source: str, printed: list[Row]) -> Vendor:
    own = {row.metric: row.value for row in printed if (row.provider, row.api_source) == (provider, api_source)}
    return Vendor(
        provider=provider,
        api_source=api_source,
        calls=int(own["finish_tool_calls"]),
        successful=int(own["successful_tool_call_count"]),
        f1=own.get("tool_call_f1"),
        f1_at_least=own.get("tool_call_f1_at_least"),
    )


def _sources() -> dict[str, dict[str, Any]]:
    return files.read_json(_folder() / "sources.json", "published sources")  # type: ignore[return-value]


def _folder() -> Path:
    return paths.data_dir() / "published"
