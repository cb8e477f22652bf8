"""The guard: histories mended before a request, answers held to their tools, leaked calls made calls again."""

from k2lab.traffic.guard.guarding import guard_of
from k2lab.traffic.guard.options import Enforce, GuardOptions, Reasoning, Repair, Unheld

__all__ = ["Enforce", "GuardOptions", "Reasoning", "Repair", "Unheld", "guard_of"]
