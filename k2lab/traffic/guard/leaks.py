"""The two texts of an answer in which calls leak, and what is salvaged of them in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from k2lab.traffic.exchanges import Changed
from k2lab.traffic.guard.salvaging import Salvage, SalvagedCall, SalvageVerdict
from k2lab.traffic.guard.watching import Watch

Channel = Literal["content", "reasoning"]
CHANNELS: tuple[Channel, ...] = ("content", "reasoning")
CODES: Mapping[Channel, str] = {"content": "call_leaked_into_content", "reasoning": "call_leaked_into_reasoning"}


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerTexts:
    """What an answer, or a part of one, says: its two texts, and whether it calls."""

    content: str = ""
    reasoning: str = ""
    calls: bool = False

    def text(self, channel: Channel) -> str:
        """The text of a channel."""
        return self.content if channel == "content" else self.reasoning


class LeakWatch:
    """Both texts of an answer as they come, and in the end what is salvaged of them.

    Reasoning counts only where the answer is that call alone: behind a text the
    model thought better of it. An answer that calls already is left as it is.
    """

    __slots__ = ("content", "reasoning")

    def __init__(self, most: int) -> None:
        self.content, self.reasoning = Watch(most), Watch(most)

    def feed(self, said: AnswerTexts) -> None:
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

    def end(self, finish_reason: object, salvage: Salvage | None) -> tuple[Channel, SalvageVerdict]:
        """What comes of the texts now that the choice has ended, and of which of them."""
        for channel in CHANNELS:
            watch = self.of(channel)
            if watch.state == "held" and salvage is not None:
                verdict = salvage.verdict(watch.held, finish_reason)
                if verdict.calls:
                    return channel, verdict
                watch.give_up(verdict.why)
            watch.give_up()
        return "content", SalvageVerdict(why=self.why)


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
