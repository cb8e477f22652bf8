"""A guard of its options: which requests it takes in hand, and how."""

from __future__ import annotations

from dataclasses import dataclass

from k2lab.traffic.guard.chat import chat_turn
from k2lab.traffic.guard.options import GuardOptions
from k2lab.traffic.turns import Guard, Turn

CHAT = "/chat/completions"


@dataclass(frozen=True, slots=True)
class _Guard:
    """One for all requests of a proxy: it keeps nothing of any."""

    options: GuardOptions

    def turn(self, path: str, content_type: str, body: bytes) -> Turn | None:
        """The turn of a chat request; ``None`` for what is none, or where nothing is asked for."""
        if not self.options.changes or not path.endswith(CHAT):
            return None
        return chat_turn(body, self.options)


def guard_of(options: GuardOptions) -> Guard:
    """A guard that does what its options say; it raises for no request and no answer.

    >>> guard = guard_of(GuardOptions(repair="ids"))
    >>> call = '{"id": "call_9", "type": "function", "function": {"name": "now", "arguments": "{}"}}'
    >>> asked = f'{{"messages": [{{"role": "assistant", "tool_calls": [{call}]}}], "seed": 1.0}}'
    >>> turn = guard.turn("/v1/chat/completions", "application/json", asked.encode())
    >>> turn.body.decode() == asked.replace("call_9", "functions.now:0")
    True
    """
    return _Guard(options)
