"""Findings: the one form in which k2lab says what is wrong, where, and how it knows."""

from k2lab.findings.entries import CATALOGUE, LAYERS, Entry, Layer
from k2lab.findings.records import Finding, State

__all__ = ["CATALOGUE", "LAYERS", "Entry", "Finding", "Layer", "State"]
