"""Draws the README's picture from the figures that a report left in its ``summary.json`` (``make picture``)."""

import json
import sys
from pathlib import Path

from k2lab.show import plots
from k2lab.stats import share

NOTEBOOK = "1_generation_prompt"
CALLED = "share of the asks that end as a tool call"


def write(summary: Path, folder: Path) -> Path:
    """Draw into ``folder`` and return the file; ``KeyError`` where the report of notebook 1 is not in the summary."""
    counts = json.loads(summary.read_text())["reports"][NOTEBOOK]["results"]["called"]
    shown = plots.shares({f"vLLM {name}": share(s["count"], s["total"]) for name, s in counts.items()}, xlabel=CALLED)
    path = folder / f"{NOTEBOOK}.svg"
    path.write_text(shown.standalone(), encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), Path(sys.argv[2])))
