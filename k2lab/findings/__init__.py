"""Findings: the one form in which k2lab says what is wrong, where, and how it knows.

``known`` has every fault with its code, as ``entries``; ``records`` says of
one whether it is there. ``histories`` finds those of a request's messages,
``exchanges`` those of an answer, of which ``verdicts`` judges each call and
``answers`` the whole; ``texts`` and ``schemas`` are what a text and arguments
show by themselves.
"""

from k2lab.findings.entries import LAYERS, SUBJECTS, Entry, Layer, Level
from k2lab.findings.known import CATALOGUE, chosen, entry_of
from k2lab.findings.records import Finding, State

__all__ = [
    "CATALOGUE",
    "LAYERS",
    "SUBJECTS",
    "Entry",
    "Finding",
    "Layer",
    "Level",
    "State",
    "chosen",
    "entry_of",
]
