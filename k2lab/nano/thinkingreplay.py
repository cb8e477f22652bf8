"""Earlier reasoning in a prompt: what a template prints of it, what becomes of it at a client, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from k2lab.chat import Request
from k2lab.findings.histories import of_history
from k2lab.nano import folders, thinking
from k2lab.prompt.alignment import common_prefix
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.replay import of_prompt
from k2lab.prompt.source import Source, open_source
from k2lab.repairs import repair
from k2lab.server.endpoint import Endpoint
from k2lab.wire.records import THINK_BEGIN, THINK_END

VARIANTS: Mapping[str, str] = {
    "K2": "current",
    "K2-Thinking": "thinking",
    "K2.5": "thinking-k2.5",
    "K2.6": "thinking-k2.6",
    "K2.7": "thinking-k2.7",
}
"""The folder with each family's real template; their tokenizers cut text alike, and K2's has no ``<think>``."""

MODEL = "kimi-k2-thinking"
"""Whose histories need the reasoning that came."""

EMPTY = THINK_BEGIN + THINK_END


def family_sources() -> dict[str, Source]:
    """Each family's template over k2-nano's tokenizer."""
    return {name: open_source(folders.assemble(variant)) for name, variant in VARIANTS.items()}


def printed(source: Source, request: Request) -> dict[str, object]:
    """Which earlier thoughts a prompt has, in what it ends, and how many ids it has: a row of a table."""
    prompt = prompt_of(source, request)
    thoughts = {f"thought of {one.message}": "printed" if one.printed else "left out" for one in of_prompt(prompt)}
    end = next((tag for tag in (THINK_BEGIN, EMPTY) if prompt.text.endswith(tag)), "the role")
    return {**thoughts, "ends in": end, "ids": len(prompt.token_ids or ())}


def ways(request: Request) -> dict[str, Request]:
    """The same conversation as four kinds of clients keep it."""
    return {
        "as reasoning_content": request,
        "as reasoning": _kept(request, lambda turn, thought: {**turn, "reasoning": thought}),
        "in the content": _kept(
            request,
            lambda turn, thought: {**turn, "content": f"{THINK_BEGIN}{thought}{THINK_END}{turn.get('content') or ''}"},
        ),
        "not at all": dropped(request),
    }


def dropped(request: Request) -> Request:
    """The conversation without its reasoning, as a client keeps it that knows role, content and calls alone."""
    return _kept(request, lambda turn, thought: turn)


def _kept(request: Request, change: Callable[[dict[str, Any], str], dict[str, Any]]) -> Request:
    messages = request.to_json()["messages"]
    return request.with_messages(
        change(turn, turn.pop("reasoning_content")) if turn.get("reasoning_content") else turn for turn in messages
    )


def as_sent(endpoints: Mapping[str, Endpoint], request: Request, right: Sequence[int]) -> dict[str, object]:
    """What is found in a history, what a repair does, and each server's prompt before and after: a row of a table."""
    repaired = repair(request, model=MODEL)
    found = of_history(request, model=MODEL)
    return {
        "found": ", ".join(dict.fromkeys(f"{one.code} {one.name}" for one in found)) or "nothing",
        **{f"prompt on {name}": _beside(server, request, right) for name, server in endpoints.items()},
        "changes of a repair": len(repaired.changes),
        "turns that it can't mend": len(repaired.problems),
        **{f"then on {name}": _beside(server, repaired.request, right) for name, server in endpoints.items()},
    }


def _beside(endpoint: Endpoint, request: Request, right: Sequence[int]) -> str:
    ids = endpoint.prompt_ids(request).ids or ()
    more = len(ids) - len(right)
    return "right" if ids == tuple(right) else f"wrong, {abs(more)} ids {'more' if more > 0 else 'fewer'}"


def recomputed(
    source: Source, request: Request, sent: Callable[[Request], Request] = lambda request: request
) -> dict[str, int]:
    """Ids of a session's prompts behind its first one, by whether an earlier prompt and its answer begin the same way.

    ``request`` has each answer with its reasoning, as the model writes it;
    ``sent`` is what the client makes of a history. A server's prefix cache keeps
    whole blocks, and so a little less.
    """
    seen: list[tuple[int, ...]] = []
    again = anew = 0
    for prompt, answer in _turns(source, request, sent):
        known = max((common_prefix(prompt, earlier) for earlier in seen), default=len(prompt))
        again, anew = again + known * bool(seen), anew + len(prompt) - known
        seen.append((*prompt, *answer))
    return {"computed before": again, "computed anew": anew}


def _turns(
    source: Source, request: Request, sent: Callable[[Request], Request]
) -> Iterator[tuple[tuple[int, ...], list[int]]]:
    """The prompt of each turn of a session and the ids of its answer, none of the one that has not come yet."""
    assert source.tokenizer is not None
    for place, message in enumerate([*request.messages, {"role": "assistant"}]):
        if message["role"] == "assistant":
            prompt = prompt_of(source, sent(request.prefix(place)))
            turn = thinking.written(message) if place < len(request.messages) else ""
            begun = turn.removeprefix(THINK_BEGIN) if prompt.text.endswith(THINK_BEGIN) else turn
            yield prompt.token_ids or (), source.tokenizer.encode(begun)
