"""Where a run of the benchmark stands, in numbers and in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Where a run stands: results wanted, had before it began and got since; finish reasons, ``failed`` among them."""

    wanted: int
    had: int
    got: int
    elapsed_s: float
    counts: Mapping[str, int] = field(default_factory=dict)
    ended: str = ""
    """Why the run stopped before its end: ``interrupted``, ``deadline`` or empty."""

    @property
    def rate(self) -> float:
        """Results a second since the run began."""
        return self.got / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds to the end at this rate; ``None`` while nothing is known."""
        return (self.wanted - self.had - self.got) / self.rate if self.got else None

    @property
    def left(self) -> str:
        """The same for a person; empty while nothing is known."""
        return "" if self.left_s is None else _span(self.left_s)

    def __str__(self) -> str:
        left = f", {self.left} left" if self.left else ""
        ends = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items(), key=lambda item: -item[1]))
        done = f"{self.had + self.got} of {self.wanted} ({self.rate:.1f}/s{left})"
        return f"{done}: {ends}" if ends else done


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
