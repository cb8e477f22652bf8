"""Answers: what a server said, in whichever of the API's two forms it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from k2lab.chat.calls import OBJECT, ToolCall, calls_of

REASONING_FIELDS = ("reasoning_content", "reasoning")
"""Moonshot's API, SGLang and earlier vLLM use the first, vLLM 0.32.0 the second; some servers send both."""

CUT_SHORT = ("length", "content_filter")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One answer, of ``/chat/completions`` or of ``/completions``.

    ``content`` and each of ``reasoning`` are as they came; ``prompt_ids`` and
    ``token_ids`` are ``None`` where the server does not give them, ``latency_ms``
    where nobody took the time. ``raw`` is the whole response.

    >>> choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    >>> k2lab.Answer.of({"choices": [choice]}).content
    'Hi'
    """

    finish_reason: str | None
    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    reasoning: tuple[str, ...] = ()
    refusal: str = ""
    function_call: bool = False
    """Whether the field ``function_call`` of the time before ``tool_calls`` is in use."""
    prompt_ids: tuple[int, ...] | None = None
    token_ids: tuple[int, ...] | None = None
    usage: Mapping[str, object] = field(default_factory=dict)
    latency_ms: float | None = None
    raw: Mapping[str, object] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, response: Mapping[str, object], *, latency_ms: float | None = None) -> Answer:
        """Read a response; never raises: whatever stands in place of the API's fields is nothing."""
        choice = _choice(response)
        message = _mapping(choice.get("message"))
        texts = [text_of(message.get(name)) for name in REASONING_FIELDS]
        reason = choice.get("finish_reason")
        prompt_ids = response.get("prompt_token_ids") or choice.get("prompt_token_ids")
        return cls(
            finish_reason=None if reason is None else str(reason),
            content=text_of(message.get("content")) or text_of(choice.get("text")),
            calls=calls_of(message),
            reasoning=tuple(dict.fromkeys(text for text in texts if text)),
            refusal=text_of(message.get("refusal")),
            function_call=bool(message.get("function_call")),
            prompt_ids=_ids(prompt_ids),
            token_ids=_ids(choice.get("token_ids")),
            usage=_mapping(response.get("usage")),
            latency_ms=latency_ms,
            raw=response,
        )

    @property
    def cut_short(self) -> bool:
        """Whether it was ended from outside: by ``max_tokens`` or a filter."""
        return self.finish_reason in CUT_SHORT


def text_of(value: object) -> str:
    """A text, or those of a list of parts; empty for anything else."""
    if isinstance(value, list):
        return "".join(text_of(part.get("text")) for part in value if isinstance(part, Mapping))
    return value if isinstance(value, str) else ""


def _choice(response: Mapping[str, object]) -> Mapping[str, object]:
    choices = response.get("choices")
    return _mapping(choices[0]) if isinstance(choices, list) and choices else {}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, OBJECT) else {}


def _ids(value: object) -> tuple[int, ...] | None:
    whole = isinstance(value, list) and all(type(item) is int for item in value)
    return tuple(value) if whole and isinstance(value, list) else None
