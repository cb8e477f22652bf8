"""Earlier reasoning in a prompt: of which turns it was sent, and of which the template printed it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from k2lab.prompt.records import Prompt
from k2lab.prompt.sandbox import REASONING


class Replayed(NamedTuple):
    """An earlier turn with reasoning: its message, and whether the prompt holds it."""

    message: int
    printed: bool


def of_prompt(prompt: Prompt) -> Iterator[Replayed]:
    """Each message whose reasoning was sent, looked for in its own turn of the prompt; none without a tokenizer."""
    text = {part.message: _text(prompt, part.start, part.end) for part in prompt.parts if part.message is not None}
    for index, message in enumerate(prompt.request.messages):
        reasoning = next((message[name] for name in REASONING if message.get(name)), None)
        if index in text and isinstance(reasoning, str) and reasoning.strip():
            yield Replayed(index, reasoning.strip() in text[index])


def replayed(prompt: Prompt) -> tuple[str, ...]:
    """The same in a line, where any reasoning was sent.

    >>> import k2lab
    >>> said = {"role": "assistant", "content": "Hi!", "reasoning_content": "A greeting."}
    >>> talk = k2lab.Request.of([{"role": "user", "content": "Hello"}, said, {"role": "user", "content": "Well?"}])
    >>> from k2lab.nano import folders
    >>> for variant in ("thinking", "thinking-k2.7"):
    ...     print(replayed(k2lab.render(folders.assemble(variant), talk))[0])
    the reasoning of message 1 is left out of the prompt by the template
    the reasoning of message 1 is in the prompt
    """
    turns = list(of_prompt(prompt))
    family = prompt.provenance.family or "the template"
    told = {
        "is in the prompt": [turn.message for turn in turns if turn.printed],
        f"is left out of the prompt by {family}": [turn.message for turn in turns if not turn.printed],
    }
    return tuple(
        f"the reasoning of message{'s' * (len(which) > 1)} {', '.join(map(str, which))} {words}"
        for words, which in told.items()
        if which
    )


def _text(prompt: Prompt, start: int, end: int) -> str:
    pieces = prompt.pieces[start:end]
    return prompt.text[pieces[0].start : pieces[-1].end] if pieces else ""
