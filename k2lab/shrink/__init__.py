"""Shrinking: the smallest request that still shows a fault, and the files that let others see it.

``deltas`` leaves parts out of a list as long as a test holds, ``parts`` says
which parts a request has, ``neutral`` puts other words in place of private ones,
``sights`` looks whether a fault shows, offline or on a server, ``shrinking`` does
it all within a budget, ``casefiles`` writes what is left.
"""

from k2lab.shrink.casefiles import issue_text, write_case
from k2lab.shrink.shrinking import Shrunk, Size, shrunk
from k2lab.shrink.sights import Live, Offline, Sight

__all__ = ["Live", "Offline", "Shrunk", "Sight", "Size", "issue_text", "shrunk", "write_case"]
