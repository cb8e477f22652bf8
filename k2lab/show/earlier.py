"""What another system left in a history: ids that are not Kimi's, what the model makes of them, and what mends them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from k2lab import families, repairs
from k2lab.chat import Request, calls_of
from k2lab.legible import one_line
from k2lab.show.parts import View, joined, line, table
from k2lab.wire.opaque import is_opaque

DOCUMENTED = re.compile(r"functions\.[^\s:]+:[0-9]+")
SHOWN = 3
"""Foreign ids that a sentence names."""


def earlier_calls(request: Request, *, model: str | None = None) -> View:
    """Whether a history would mislead the model, why, and what a repair would change.

    ``model`` is as for :func:`k2lab.repairs.repair`.

    >>> from k2lab.chat import Request
    >>> call = {"id": "search:2", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    >>> print(earlier_calls(Request.of([{"role": "assistant", "content": None, "tool_calls": [call]}])).text[:91])
    ✗ This history leads the model to write foreign ids: 1 of its 1 calls has an id that is not
    """
    family = families.of_model(model or request.model or "") or families.UNKNOWN
    foreign, calls = list(_foreign(request)), sum(len(calls_of(message)) for message in request.messages)
    mended = repairs.repair(request, model=model)
    made = [line(_misled(foreign, calls))] if foreign and family.numbers_ids else []
    made += [line(f"? Not known: {one.path}: {one.problem}; {one.fix}.") for one in mended.unsure]
    if not made and not mended.changes and not mended.problems:
        return line("✓ Nothing in this history is foreign to Kimi's format.")
    return joined(*made, _changes(mended))


def _foreign(request: Request) -> Iterator[tuple[int, str]]:
    """Message and id of each earlier call whose id is not of the documented form."""
    for number, message in enumerate(request.messages):
        for call in calls_of(message):
            if not DOCUMENTED.fullmatch(found := str(call.id or "")):
                yield number, found


def _misled(foreign: list[tuple[int, str]], calls: int) -> str:
    named = ", ".join(f"{one_line(found, 60)!r} in message {number}" for number, found in foreign[:SHOWN])
    more = f" and {len(foreign) - SHOWN} more" if len(foreign) > SHOWN else ""
    leads = "leads the model to" if len(foreign) == calls else "may lead the model to"
    has = "has an id that is" if len(foreign) == 1 else "have ids that are"
    return (
        f"✗ This history {leads} write foreign ids: {len(foreign)} of its {calls} calls {has} not in Kimi's form"
        f" functions.NAME:IDX ({named}{more}). The template prints them into the prompt, and the model goes on as it"
        f" sees. {_lost(foreign)} What mends it: number them anew before the request is sent (Repair first: ids, or"
        " k2lab repair)."
    )


def _lost(foreign: list[tuple[int, str]]) -> str:
    """What becomes of an answer that copies such an id; measured in notebook 3."""
    if all(is_opaque(found) for _, found in foreign):
        return "An id without a tool's name in it says to no parser which tool is meant."
    return "vLLM 0.11.0 returns a call with such an id as text; 0.32.0 reads NAME:IDX."


def _changes(mended: repairs.Repaired) -> View:
    """What differs from Kimi's form, in words before values."""
    shown = [
        {
            "message": made.message,
            "field": made.field,
            "as it is": repr(made.before),
            "as Kimi has it": repr(made.after),
        }
        for made in mended.changes
    ]
    left = [{"where": item.path, "what": item.problem, "what to do": item.fix} for item in mended.problems]
    made = [table(shown, "what a repair would change")] if shown else []
    return joined(*made, *([table(left, "faults without one right repair")] if left else []))
