"""A request as the renderer of Kimi K3's checkpoint gets it: which of its fields shape the prompt, and which do not.

Facts, of vLLM 0.32.0 (``renderers/kimi_k3.py``, ``build_chat_params``): what
``chat_template_kwargs`` holds goes to the renderer as it is; a ``tool_choice``
of the request goes before it, unless it is ``auto`` or there are no tools, and
so does a ``response_format``; ``reasoning_effort`` is ``thinking_effort``,
``none`` of it switches thinking off, and ``enable_thinking`` is ``thinking``.
The checkpoint's own ``apply_chat_template`` takes the effort ``max`` where none
is given; its renderer, which this is, says none then.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from k2lab.chat import Request
from k2lab.errors import InputError, RenderError, first_line
from k2lab.families import special
from k2lab.prompt import xtmlturns
from k2lab.prompt.files import is_file, read_bytes
from k2lab.prompt.tokenizers import Span, Tokenizer
from k2lab.prompt.turns import Part
from k2lab.prompt.xtmltags import Segment
from k2lab.prompt.xtmlturns import RenderOptions, Turn

CODE = "tokenization_kimi.py"
"""The checkpoint's tokenizer class, whose ``apply_chat_template`` has defaults of its own."""

TAKEN = {field.name for field in fields(RenderOptions)} - {"images"} | {"image_prompts"}
ALSO_TAKEN = frozenset({"enable_thinking", "reasoning_effort", "continue_final_message", "documents"})
"""Names of ``chat_template_kwargs`` that are read under another name, or said of elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A prompt in XTML: its turns, the options that it was written with, and what is to be said of them."""

    turns: tuple[Turn, ...]
    options: RenderOptions
    notes: tuple[str, ...]

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """All segments in order."""
        return tuple(segment for turn in self.turns for segment in turn.segments)

    @property
    def text(self) -> str:
        """The whole text; a tokenizer gives it other ids than its segments have."""
        return "".join(segment.text for segment in self.segments)


def written(request: Request, *, add_generation_prompt: bool | None = None, folder: Path | None = None) -> Written:
    """The prompt of a request as the checkpoint's renderer writes it.

    Raises :class:`InputError` for what it refuses, :class:`RenderError` for a
    conversation that it has no form for. ``folder``: one whose own code may have
    a default.

    >>> request = k2lab.Request.of([{"role": "user", "content": "Hello"}])
    >>> written(request).text[:44], written(request).text[-38:]
    ('<|open|>message role="user"<|sep|>Hello<|clo', '"assistant"<|sep|><|open|>think<|sep|>')
    """
    options, notes = _options(request, folder)
    if add_generation_prompt is not None:
        options = replace(options, add_generation_prompt=add_generation_prompt)
    data = request.to_json()
    try:
        made = xtmlturns.turns_of(data["messages"], data["tools"], options)
    except ValueError as error:  # an XTMLError, or a number of more digits than Python reads
        raise RenderError(f"Kimi K3's renderer does not take this: {first_line(error)}") from None
    notes += _of_pictures(made, options)
    return Written(turns=tuple(made), options=options, notes=(*notes, *_passed_over(request, made)))


def _of_pictures(made: Sequence[Turn], options: RenderOptions) -> Iterator[str]:
    if options.images is None and any(xtmlturns.IMAGE in one.text for turn in made for one in turn.segments):
        yield (
            f"{xtmlturns.IMAGE} is in the prompt: where it is a picture's, a server sets as many tokens in its place as"
            " the picture's size takes, which are not made here"
        )


def ids_of(made: Written, tokenizer: Tokenizer) -> list[list[int]]:
    """The ids of each segment; raises :class:`InputError` for a tokenizer that has not K3's markers."""
    lacking = next((marker for marker in special.XTML_SLOTS[2:] if len(tokenizer.encode(marker)) != 1), None)
    if lacking:
        raise InputError(
            f"{lacking} is no token of this tokenizer, as it is of Kimi K3's: give K3's own, or --family k3 with"
            " Kimi's tiktoken.model"
        )
    return xtmlturns.ids_of(made.segments, tokenizer.encode, tokenizer.encode_plain)


def spans_of(segments: Sequence[Segment], tokenizer: Tokenizer) -> Iterator[Span]:
    """Where each id of a prompt stands in its text."""
    place = 0
    known: dict[Segment, list[Span]] = {}
    for segment in segments:
        if segment not in known:
            spans = tokenizer.spans if segment.marker else tokenizer.spans_plain
            known[segment] = spans(segment.text)
        yield from ((place + start, place + end) for start, end in known[segment])
        place += len(segment.text)


def parts_of(turns: Sequence[Turn], counts: Sequence[int]) -> Iterator[Part]:
    """The turns in token indexes; ``counts`` are the numbers of ids of each segment."""
    start = number = 0
    for turn in turns:
        size = sum(counts[number : number + len(turn.segments)])
        added = turn.message is None and turn.name not in ("tools", "generation prompt")
        name = f"{turn.name} (added by the renderer)" if added else turn.name
        yield Part(start=start, end=start + size, name=name, message=turn.message)
        start, number = start + size, number + len(turn.segments)


def _options(request: Request, folder: Path | None) -> tuple[RenderOptions, list[str]]:
    given: dict[str, Any] = dict(request.template_kwargs)
    notes = [
        f"chat_template_kwargs: the renderer does not read {name}" for name in sorted(given.keys() - TAKEN - ALSO_TAKEN)
    ]
    _take_thinking(given, request)
    notes += _take_choice(given, request)
    if "thinking_effort" not in given and given.get("thinking", True):
        effort, why = usual_effort(folder)
        given["thinking_effort"] = effort
        notes.append(why)
    if "image_prompts" in given:
        given["images"] = given.pop("image_prompts")
    asked = request.parameters.get("add_generation_prompt")
    given.setdefault("add_generation_prompt", True if asked is None else bool(asked))
    if request.parameters.get("continue_final_message") or given.get("continue_final_message"):
        notes.append("continue_final_message is not used: the renderer ends the last message")
    return RenderOptions(
        **{name: value for name, value in given.items() if name in RenderOptions.__dataclass_fields__}
    ), notes


def _take_thinking(given: dict[str, Any], request: Request) -> None:
    """Bring the names of others for thinking and its level to the renderer's own."""
    effort = request.parameters.get("reasoning_effort")
    if effort is not None:
        given["reasoning_effort"] = effort
        given.setdefault("enable_thinking", effort != "none")
    enabled, effort = given.pop("enable_thinking", None), given.pop("reasoning_effort", None)
    if enabled is not None:
        given.setdefault("thinking", enabled)
    if effort == "none":
        given.setdefault("thinking", False)
    elif effort is not None:
        given.setdefault("thinking_effort", effort)
    effort = given.get("thinking_effort")
    if effort is not None and effort not in xtmlturns.EFFORTS:
        raise InputError(
            f"the level of thinking is {str(effort)[:40]!r}, of which Kimi K3 takes {', '.join(xtmlturns.EFFORTS)}:"
            " change it, or leave it out"
        )


def _take_choice(given: dict[str, Any], request: Request) -> Iterator[str]:
    """Bring the request's ``tool_choice`` and ``response_format`` to the renderer, as a server does."""
    choice, wanted = request.parameters.get("tool_choice"), request.parameters.get("response_format")
    if choice == "none" and not request.tools:
        yield "tool_choice is not used: without tools a server takes none for no choice"
    elif choice not in (None, "auto"):
        given["tool_choice"] = choice
    if isinstance(given.get("tool_choice"), Mapping):
        yield "tool_choice is no part of the prompt: the renderer notes required and none, and no tool by name"
    if wanted is not None:
        given["response_format"] = wanted


def usual_effort(folder: Path | None) -> tuple[str | None, str]:
    """The effort where a request says none, and why."""
    path = folder / CODE if folder else None
    default = _default_in(read_bytes(path).decode(errors="replace")) if path and is_file(path) else None
    if default in xtmlturns.EFFORTS:
        return default, f"thinking_effort is {default}, as {CODE} of the folder has it where a request says none"
    return None, (
        "no thinking_effort is said, as the request gives none; the checkpoint's own apply_chat_template takes max then"
    )


def _default_in(code: str) -> str | None:
    """The value of ``setdefault("thinking_effort", VALUE)`` in Python code, which is read and not run."""
    try:
        calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr == "setdefault" and len(call.args) == 2:
            name, value = (one.value if isinstance(one, ast.Constant) else None for one in call.args)
            if name == "thinking_effort" and isinstance(value, str):
                return value
    return None


def _passed_over(request: Request, made: Sequence[Turn]) -> Iterator[str]:
    """What of the messages is no part of the prompt."""
    there = {turn.message for turn in made}
    for index, message in enumerate(request.messages):
        if index not in there:
            yield f"messages[{index}] is not in the prompt: the renderer passes over the role {message['role']}"
        elif message["role"] == "system" and message.get("tools") and message.get("content"):
            yield f"messages[{index}].content is not in the prompt: a system message with tools declares them alone"
