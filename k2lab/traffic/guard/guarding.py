"""A guard of its options: which requests it takes in hand, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from k2lab.findings.schemas import schema_error
from k2lab.traffic.guard.chat import chat_turn
from k2lab.traffic.guard.enforcing import prepare
from k2lab.traffic.guard.messages import message_turn
from k2lab.traffic.guard.options import GuardOptions
from k2lab.traffic.guard.responses import responses_turn
from k2lab.traffic.turns import Guard, Turn

TURNS: Mapping[str, Callable[[bytes, GuardOptions], Turn]] = {
    "/chat/completions": chat_turn,
    "/responses": responses_turn,
    "/messages": message_turn,
}
"""How a request is taken in hand, by the end of its path."""


@dataclass(frozen=True, slots=True)
class _Guard:
    """One for all requests of a proxy: it keeps nothing of any."""

    options: GuardOptions

    def turn(self, path: str, content_type: str, body: bytes) -> Turn | None:
        """The turn of a request; ``None`` for other paths, or where nothing is asked for."""
        if not self.options.changes:
            return None
        take = next((take for end, take in TURNS.items() if path.endswith(end)), None)
        return None if take is None else take(body, self.options)


def guard_of(options: GuardOptions) -> Guard:
    """A guard that does what its options say; it raises for no request and no answer.

    >>> guard = guard_of(GuardOptions(repair="ids"))
    >>> call = '{"id": "call_9", "type": "function", "function": {"name": "now", "arguments": "{}"}}'
    >>> asked = f'{{"messages": [{{"role": "assistant", "tool_calls": [{call}]}}], "seed": 1.0}}'
    >>> turn = guard.turn("/v1/chat/completions", "application/json", asked.encode())
    >>> turn.body.decode() == asked.replace("call_9", "functions.now:0")
    True
    """
    if options.enforce == "pinned":
        prepare(options)
    if options.salvage:
        schema_error({"type": "object"}, {})  # which loads the validators
    return _Guard(options)
