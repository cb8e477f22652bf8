"""Which message owns which token of a prompt: it is cut at its role markers, and messages are counted off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from k2lab.chat import SYSTEM_ROLES, Request
from k2lab.families.special import MIDDLE, OPENINGS
from k2lab.prompt.tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One turn of a prompt: token indexes ``[start, end)``, what it is, and whose.

    ``message`` is the index in the request, or ``None`` for what the
    template adds: tools, a default system text, the generation prompt.
    """

    start: int
    end: int
    name: str
    message: int | None


def parts_of(ids: Sequence[int], tokenizer: Tokenizer, request: Request) -> list[Part]:
    """Cut a prompt at its role markers and give each part its message.

    A part begins at a role marker and ends where the next one begins. Messages
    are counted off in order after what the template puts before them. None are
    known by a tokenizer to which the markers are no tokens.
    """
    openings = {token for text in OPENINGS if (token := _only(tokenizer.encode(text))) is not None}
    middle = _only(tokenizer.encode(MIDDLE))
    starts = [index for index, token in enumerate(ids) if token in openings]
    if not starts:
        return []
    ends = [*starts[1:], len(ids)]
    names = [_name(ids, start, end, middle, tokenizer) for start, end in zip(starts, ends, strict=True)]
    before = _added_before(names, request)
    made: list[Part] = []
    for number, (start, end, name) in enumerate(zip(starts, ends, names, strict=True)):
        message = number - before
        if message < 0:
            label = "tools" if name == "tool_declare" else f"{name} (added by the template)"
            made.append(Part(start=start, end=end, name=label, message=None))
        elif message < len(request.messages):
            made.append(Part(start=start, end=end, name=name, message=message))
        else:
            made.append(Part(start=start, end=end, name="generation prompt", message=None))
    return made


def owner(found: Sequence[Part], index: int) -> Part:
    """The part that holds token ``index``; the last part also owns what lies beyond it."""
    holding = [part for part in found if part.start <= index]
    return holding[-1] if holding else Part(start=0, end=0, name="text before the first role marker", message=None)


def _only(ids: Sequence[int]) -> int | None:
    return ids[0] if len(ids) == 1 else None


def _name(ids: Sequence[int], start: int, end: int, middle: int | None, tokenizer: Tokenizer) -> str:
    stop = next((i for i in range(start + 1, end) if ids[i] == middle), end)
    return tokenizer.decode(list(ids[start + 1 : stop])) or "nameless"


def _added_before(names: Sequence[str], request: Request) -> int:
    tools = 1 if names[:1] == ["tool_declare"] else 0
    has_system = request.messages[0]["role"] in SYSTEM_ROLES
    return tools + (1 if not has_system and names[tools : tools + 1] == ["system"] else 0)
