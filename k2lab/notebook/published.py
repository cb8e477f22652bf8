"""The published figures, as tables: the blog's run before and after, and the vendors of K2VV's own table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k2lab import paths

if TYPE_CHECKING:
    import pandas as pd

COUNTS = ["finish_stop", "finish_tool_calls", "schema_validation_error_count", "successful_tool_call_count"]
"""What the blog gives for each of its runs."""

TABLE, MODEL = "k2vv-2025-11-15", "0905"
"""The latest table of K2VV's README, and the model that the blog ran."""


def blog() -> pd.DataFrame:
    """The blog's counts, a row a run."""
    rows = _rows().fillna({"setting": ""})
    wanted = rows[(rows.source == "blog") & rows.metric.isin(COUNTS)]
    index = ["provider", "model", "setting"]
    wide = wanted.pivot_table(index=index, columns="metric", values="value", sort=False)
    return wide[COUNTS].astype("Int64")


def vendors() -> pd.DataFrame:
    """What K2VV measured of each vendor, the most accurate first."""
    rows = _rows()
    wanted = rows[(rows.source == TABLE) & rows.model.str.contains(MODEL)]
    wide = wanted.pivot_table(index="provider", columns="metric", values="value")
    return wide.sort_values("schema_accuracy", ascending=False)


def _rows() -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(paths.data_dir() / "published" / "results.csv")
