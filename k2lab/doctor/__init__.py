"""What is wrong where: known faults looked for in every release at hand, and the release in which one came or went."""

from k2lab.doctor.bisection import Bisection, bisect
from k2lab.doctor.sweeping import Sweep, sweep

__all__ = ["Bisection", "Sweep", "bisect", "sweep"]
