"""A choice of a chat answer, whole or a delta: the texts in which calls leak, and the calls that it has of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from k2lab.chat.answers import REASONING_FIELDS
from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.salvaging import Salvage, SalvagedCall, Verdict
from k2lab.traffic.guard.watching import Watch

Channel = Literal["content", "reasoning"]
FIELDS: Mapping[Channel, tuple[str, ...]] = {"content": ("content",), "reasoning": REASONING_FIELDS}
CHANNELS: tuple[Channel, ...] = ("content", "reasoning")
CODES: Mapping[Channel, str] = {"content": "call_leaked_into_content", "reasoning": "call_leaked_into_reasoning"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a message or a delta says: its two texts, and whether it calls."""

    content: str
    reasoning: str
    calls: bool

    @classmethod
    def of(cls, message: object) -> Said:
        """Whatever stands there; what is no text is none."""
        fields = message if isinstance(message, dict) else {}
        content = fields.get("content")
        texts = [value for name in REASONING_FIELDS if isinstance(value := fields.get(name), str) and value]
        return cls(
            content=content if isinstance(content, str) else "",
            reasoning=texts[0] if texts else "",
            calls=bool(fields.get("tool_calls") or fields.get("function_call")),
        )

    def text(self, channel: Channel) -> str:
        """The text of a channel."""
        return self.content if channel == "content" else self.reasoning


class ChoiceWatch:
    """Both texts of a choice as they come, and in the end what is salvaged of them.

    Reasoning counts only where the answer is that call alone: behind a text the
    model thought better of it. An answer that calls already is left as it is.
    """

    __slots__ = ("content", "reasoning")

    def __init__(self, most: int) -> None:
        self.content, self.reasoning = Watch(most), Watch(most)

    def feed(self, said: Said) -> None:
        """Take what is said next."""
        if said.calls:
            for watch in (self.content, self.reasoning):
                watch.give_up("the answer has calls of its own")
        self.reasoning.feed(said.reasoning)
        self.content.feed(said.content)
        if said.content.strip():
            self.reasoning.give_up("the answer goes on behind it")

    @property
    def unsettled(self) -> bool:
        """Whether some of either text has to wait."""
        return self.content.unsettled or self.reasoning.unsettled

    @property
    def why(self) -> str:
        """Why a leaked call was left as text."""
        return self.content.why or self.reasoning.why

    def of(self, channel: Channel) -> Watch:
        """The watch over a channel."""
        return self.content if channel == "content" else self.reasoning

    def end(self, finish_reason: object, salvage: Salvage | None) -> tuple[Channel, Verdict]:
        """What comes of the texts now that the choice has ended, and of which of them."""
        for channel in CHANNELS:
            watch = self.of(channel)
            if watch.state == "held" and salvage is not None:
                verdict = salvage.verdict(watch.held, finish_reason)
                if verdict.calls:
                    return channel, verdict
                watch.give_up(verdict.why)
            watch.give_up()
        return "content", Verdict(why=self.why)


def with_text(message: Mapping[str, object], channel: Channel, before: str, after: str | None) -> dict[str, object]:
    """A message or a delta with another text; servers that say reasoning twice get it twice."""
    changed = {name: after for name in FIELDS[channel] if message.get(name) == before}
    return {**message, **changed}


def salvaged(calls: Sequence[SalvagedCall], channel: Channel, place: str) -> list[Changed]:
    """What is said of each call that was salvaged."""
    return [
        Changed(
            kind="salvage",
            place=f"{place}.tool_calls[{number}]",
            code=CODES[channel],
            detail=f"a call of {call.name} that leaked into {channel}",
        )
        for number, call in enumerate(calls)
    ]


def ended(finish_reason: object) -> object:
    """How an answer ends that calls now."""
    return "tool_calls" if finish_reason == "stop" else finish_reason
