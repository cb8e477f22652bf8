"""The guard: histories mended before a request, answers held to their tools, leaked calls made calls again.

It keeps nothing between requests. A history always becomes the same request,
turn after turn, so that a server finds its prefix in its cache; not so where
the client's own history changes, where results without ids arrive one by one
(only all of them together tell which is whose), and where a chat template itself
drops the reasoning of answered turns. Every byte of a body that nothing is
changed in goes on as it was.

A leaked call is made a call where there is one reading (``watching``,
``salvaging``): it ends its text, outside code blocks, backticks and quotes; it is
closed, names a declared tool, its arguments are valid and ``tool_choice`` asks
for it; so are all others beside it; the server read no call itself; and nothing
that the model was given holds a marker of calls that it could be quoting. That
is less than what the server's own parser would have called. Of the Responses
and the Messages API the ids are mended, not the rest of the history.

What was done stands in headers of the answer, ``x-k2lab-repaired``, ``-left``,
``-held``, ``-unheld``, ``-salvaged``, ``-unsalvaged``, ``-unread`` and
``-unrepaired``; of a stream, what comes of its text is a comment at its end.
"""

from k2lab.traffic.guard.guarding import guard_of
from k2lab.traffic.guard.options import Enforce, GuardOptions, Reasoning, Repair, Unheld

__all__ = ["Enforce", "GuardOptions", "Reasoning", "Repair", "Unheld", "guard_of"]
