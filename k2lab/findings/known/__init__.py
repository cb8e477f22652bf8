"""Every fault that k2lab knows, a module for each subject: what it is, why it hurts, what to do."""

from k2lab.findings.known.index import CATALOGUE, chosen, entry_of

__all__ = ["CATALOGUE", "chosen", "entry_of"]
