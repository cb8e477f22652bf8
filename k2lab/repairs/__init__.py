"""Repairs before a request and after an answer: a new value, the changes made, and the faults that are left.

A history for Kimi K2 must carry the ids that the model was trained on,
``functions.NAME:IDX`` counted over the whole conversation: the templates of K2,
K2-Thinking and K2.5 to K2.7 print them into the prompt, and foreign ones mislead
the model into writing foreign ones. Moonshot's own API renames them first.
K3's ids must be left alone: its format counts from 1 anew in each message and its
template writes its own numbers, so that renamed ids would only be wrong.

What has one right form is brought into it; what could be mended in two ways, or
not at all, is named as a problem. Problems are found in the repaired conversation
alone, so that a second repair changes nothing and names the same.
"""

from k2lab.repairs.mending import family_of, problems, renumber, repair
from k2lab.repairs.outputs import repair_output
from k2lab.repairs.records import Change, Problem, Repaired, RepairedOutput

__all__ = [
    "Change",
    "Problem",
    "Repaired",
    "RepairedOutput",
    "family_of",
    "problems",
    "renumber",
    "repair",
    "repair_output",
]
