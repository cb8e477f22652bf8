"""A conversation as Kimi K3's checkpoint writes it: which turns there are, in which order, and what stands in each.

There is no chat template: tools, the level of thinking, the messages, notes on
``tool_choice`` and ``response_format``, and the opening of the answer. Where the
checkpoint's code is surprising it is followed: a message of another role is
passed over, a result's index counts where it stands, a named tool choice leaves
no note. Source: facts of ``encoding_k3.py`` of moonshotai/Kimi-K3. Standard
library alone: a model folder may carry this file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k2lab.prompt.xtmltags import Segment, argument, compact, element, opened, plain, whole_message

EFFORTS = ("low", "high", "max")
"""Levels of thinking that are taken; the note that says one names ``medium``, too, which is refused."""

IMAGE = "<|kimi_image_placeholder|>"
"""Stands for a picture until the server knows its size; no token of its own."""

TOOLS = "# Tools\nHere are the available tools, described in JSONSchema."
FURTHER_TOOLS = (
    "## New Tools Available\nThe system dynamically extends the toolset via lazy-loading.\n"
    "You have access to all existing and extended tools.\nHere are the specs for the extended tools."
)
EFFORT = (
    "`thinking_effort` guides on how much to think in your thinking channel (not including the response channel), "
    "supported values include `low`, `medium`, `high`, and `max`.\n"
    "Now the system is invoked with `thinking_effort={}`."
)
CHOICES = {
    "required": "The system is invoked with `tool_choice=required`.\nYou MUST call tools in the next message.",
    "none": "The system is invoked with `tool_choice=none`.\nYou MUST NOT call any tools in the next message.",
}
FORMAT = (
    "The system is invoked with `response_format={}`.\n"
    "Your response must be raw JSON data without markdown code blocks (```json) or any additional formatting."
)
SCHEMA = "\nThe JSON data must match the following schema:\n```json\n{}\n```"

Message = Mapping[str, Any]


class XTMLError(ValueError):
    """A conversation that K3's checkpoint refuses, or that its code fails on."""


@dataclass(frozen=True)
class Turn:
    """One message of a prompt: its name, the index of the message it is of (``None``: added), its segments."""

    name: str
    message: int | None
    segments: tuple[Segment, ...]


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """What the checkpoint's renderer takes beside messages and tools.

    ``images``: what stands for each picture, in order, where the server knows;
    ``None`` leaves :data:`IMAGE`.
    """

    thinking: bool = True
    thinking_effort: str | None = None
    tool_choice: Any = None
    response_format: Any = None
    response_schema: Any = None
    add_generation_prompt: bool = True
    images: Sequence[str] | None = None

    def kwargs(self) -> dict[str, Any]:
        """Those that say something, by the names that the checkpoint's own code has for them."""
        given = {"image_prompts" if name == "images" else name: value for name, value in vars(self).items()}
        return {name: value for name, value in given.items() if value is not None}


def turns_of(
    messages: Sequence[Message], tools: Sequence[Any] | None, options: RenderOptions = RenderOptions()
) -> list[Turn]:
    """The turns of a prompt; raises :class:`XTMLError`. Nothing is mutated.

    >>> made = turns_of([{"role": "user", "content": "Hello"}], None, RenderOptions(thinking=False))
    >>> "".join(segment.text for turn in made for segment in turn.segments)[-60:]
    'open|>message role="assistant"<|sep|><|open|>response<|sep|>'
    """
    return list(_Conversation(messages, options).turns(tools))


class _Conversation:
    """One prompt as it is written: which results stand where, and which picture is next."""

    def __init__(self, messages: Sequence[Message], options: RenderOptions) -> None:
        self.messages, self.options = messages, options
        self.pictures = 0
        self.calls: Sequence[Any] = ()
        self.results = 0

    def turns(self, tools: Sequence[Any] | None) -> Iterator[Turn]:
        if tools:
            yield _added("tools", "tool-declare", _declaration(TOOLS, tools))
        yield from self._effort()
        for index, message in sorted_results(self.messages):
            yield from self._turn(index, message)
        yield from self._notes()
        if self.options.add_generation_prompt:
            opening = (*opened("message", [("role", "assistant")]), *opened(self._first_channel()))
            yield Turn("generation prompt", None, opening)
        if self.options.images is not None and self.pictures != len(self.options.images):
            raise XTMLError(f"{len(self.options.images)} images are given for {self.pictures} places")

    def _first_channel(self) -> str:
        return "think" if self.options.thinking else "response"

    def _effort(self) -> Iterator[Turn]:
        effort = self.options.thinking_effort
        if not self.options.thinking or effort is None:
            return
        if effort not in EFFORTS:
            raise XTMLError(f"thinking_effort is {effort!r}: Kimi K3 takes {', '.join(EFFORTS)}")
        yield _added("thinking effort", "thinking-effort", EFFORT.format(effort))

    def _turn(self, index: int, message: Message) -> Iterator[Turn]:
        role, where = message.get("role"), f"messages[{index}]"
        if role == "system" and message.get("tools"):
            yield Turn(
                "tools", index, _added("", "tool-declare", _declaration(FURTHER_TOOLS, message["tools"])).segments
            )
        elif role in ("user", "system"):
            yield self._written(index, role, _named(role, message), self._content(message.get("content"), where))
        elif role == "tool":
            attributes = [("role", "tool"), ("tool", self._tool(message, where)), ("index", self.results)]
            yield self._written(index, "tool", attributes, self._content(message.get("content"), where))
        elif role == "assistant":
            self.calls, self.results = message.get("tool_calls") or (), 0
            yield self._written(index, role, _named(role, message), self._answer(message, where))

    def _written(
        self, index: int, name: str, attributes: Sequence[tuple[str, object]], content: Iterator[Segment]
    ) -> Turn:
        return Turn(name, index, tuple(whole_message(attributes, content)))

    def _tool(self, message: Message, where: str) -> object:
        """The tool that a result is of: as it says, else that of the call at its place; counts the result."""
        self.results += 1
        named = message.get("tool", message.get("name"))
        if named is None and self.results <= len(self.calls):
            named = _function(self.calls[self.results - 1], where)["name"]
        if named is None:
            raise XTMLError(f"{where} is a result of no call: there is none at its place, and it names no tool")
        return named

    def _answer(self, message: Message, where: str) -> Iterator[Segment]:
        if self.options.thinking:
            reasoning = message.get("reasoning_content") or message.get("reasoning")
            thought = "" if reasoning is None or not str(reasoning).strip() else str(reasoning)
            yield from element("think", (), self._text(thought))
        yield from element("response", (), self._content(message.get("content"), where))
        if self.calls:
            yield from element("tools", (), self._calls(where))

    def _calls(self, where: str) -> Iterator[Segment]:
        for place, call in enumerate(self.calls):
            function = _function(call, f"{where}.tool_calls[{place}]")
            attributes = [("tool", function["name"]), ("index", place + 1)]
            yield from element("call", attributes, self._arguments(function, f"{where}.tool_calls[{place}]"))

    def _arguments(self, function: Mapping[str, Any], where: str) -> Iterator[Segment]:
        value = decoded(function.get("arguments"), where)
        if isinstance(value, str):
            yield from element("json", [("type", "object")], self._text(value))
            return
        for key, part in value.items():
            written = argument(key, part)
            yield from written if self.options.images is None else self._with_pictures(written)

    def _with_pictures(self, segments: Iterator[Segment]) -> Iterator[Segment]:
        value = 0
        for segment in segments:
            value += segment.marker  # the second marker of an argument closes its tag
            yield from self._text(segment.text) if value == 2 and not segment.marker else iter((segment,))

    def _content(self, content: Any, where: str) -> Iterator[Segment]:
        """A content's segments: a part each, where it has parts."""
        if content is None or isinstance(content, str):
            yield from self._text(content or "")
            return
        for place, part in enumerate(content):
            kind = part.get("type") if isinstance(part, Mapping) else None
            if kind in ("image", "image_url"):
                yield Segment(self._picture(), True)
            elif kind is None or "text" not in part:
                raise XTMLError(f"{where}.content[{place}] is neither a text nor an image with its type")
            else:
                yield from self._text(str(part["text"]))

    def _text(self, text: str) -> Iterator[Segment]:
        """A text, pictures set in where it has their placeholder and they are known."""
        if self.options.images is None:
            yield from plain(text)
            return
        for number, part in enumerate(text.split(IMAGE)):
            if number:
                yield Segment(self._picture(), True)
            yield from plain(part)

    def _picture(self) -> str:
        self.pictures += 1
        if self.options.images is None:
            return IMAGE
        if self.pictures > len(self.options.images):
            raise XTMLError(f"there are more places for images than the {len(self.options.images)} that are given")
        return self.options.images[self.pictures - 1]

    def _notes(self) -> Iterator[Turn]:
        choice = self.options.tool_choice
        if isinstance(choice, str) and choice in CHOICES:
            yield _added("tool choice", "tool-choice", CHOICES[choice])
        wanted = self.options.response_format
        kind = wanted.get("type", wanted) if isinstance(wanted, Mapping) else wanted
        if kind == "json_object":
            yield _added("response format", "response-format", FORMAT.format(kind))
        elif kind == "json_schema":
            schema = self.options.response_schema
            written = compact(schema_of(wanted) if schema is None else schema)
            yield _added("response format", "response-format", FORMAT.format(kind) + SCHEMA.format(written))


def schema_of(response_format: Any) -> Any:
    """The JSON Schema in a ``response_format``, in whichever of three forms it is given."""
    given = response_format.get("json_schema") if isinstance(response_format, Mapping) else None
    return given.get("schema", given.get("json_schema", given)) if isinstance(given, Mapping) else given


def decoded(arguments: Any, where: str = "arguments") -> Mapping[str, Any] | str:
    """The arguments of an earlier call as an object, or the text as it came where that is no JSON.

    Raises :class:`XTMLError` for what is of another kind: K3 has no form for it.

    >>> decoded('{"a": 1}'), decoded('{"a": '), decoded("")
    ({'a': 1}, '{"a": ', {})
    """
    value = arguments
    if isinstance(arguments, str):
        try:
            value = json.loads(arguments) if arguments.strip() else {}
        except json.JSONDecodeError:
            return arguments
    elif arguments is None:
        value = {}
    if not isinstance(value, Mapping):
        raise XTMLError(f"{where}: arguments must be a JSON object, as Kimi K3 has no form for others")
    return value


def sorted_results(messages: Sequence[Message]) -> Iterator[tuple[int, Message]]:
    """Each message with its index, every run of results in the order of the calls that they answer.

    A run of which one answers no call stays as it is; a result's tool is the one
    that was called, whatever it says itself.

    >>> calls = [{"id": name, "function": {"name": name}} for name in ("a", "b")]
    >>> results = [{"role": "tool", "tool_call_id": name} for name in ("b", "a")]
    >>> [index for index, _ in sorted_results([{"role": "assistant", "tool_calls": calls}, *results])]
    [0, 2, 1]
    """
    places: Mapping[str, tuple[int, Any]] = {}
    run: list[tuple[int, Message]] = []
    for index, message in enumerate(messages):
        if message.get("role") == "tool":
            run.append((index, message))
            continue
        yield from _in_order_of_calls(run, places)
        run = []
        if message.get("role") == "assistant":
            places = _places(message.get("tool_calls") or ())
        yield index, message
    yield from _in_order_of_calls(run, places)


def _in_order_of_calls(
    run: Sequence[tuple[int, Message]], places: Mapping[str, tuple[int, Any]]
) -> Iterator[tuple[int, Message]]:
    found = [places.get(str(call_id)) if (call_id := _answered(one)) is not None else None for _, one in run]
    if None in found:
        yield from run
        return
    known = [(place, index, one, name) for (place, name), (index, one) in zip(filter(None, found), run, strict=True)]
    for _, index, one, name in sorted(known, key=lambda item: item[:2]):
        renamed = {"tool": name} | ({"name": name} if "name" in one else {})
        yield index, one if name is None else {**one, **renamed}


def _answered(message: Message) -> Any:
    return message.get("tool_call_id", message.get("id"))


def _places(calls: Sequence[Any]) -> dict[str, tuple[int, Any]]:
    """Where each id is called, and the tool's name; the first counts where an id stands twice."""
    found: dict[str, tuple[int, Any]] = {}
    for place, call in enumerate(calls):
        if isinstance(call, Mapping) and call.get("id") is not None:
            function = call.get("function")
            name = (function if isinstance(function, Mapping) else call).get("name")
            found.setdefault(str(call["id"]), (place, name))
    return found


def _function(call: Any, where: str) -> Mapping[str, Any]:
    """What a call calls: its ``function``, or the call itself in the old flat form."""
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or "name" not in function:
        raise XTMLError(f"{where} has a call without a function's name")
    return function


def _named(role: str, message: Message) -> list[tuple[str, object]]:
    return [("role", role), *([("name", message["name"])] if message.get("name") else [])]


def _declaration(heading: str, tools: Any) -> str:
    return f"{heading}\n\n```json\n{compact(tools)}\n```"


def _added(name: str, kind: str, text: str) -> Turn:
    """A turn that the renderer adds: of the system's role, with a type."""
    return Turn(name, None, tuple(whole_message([("role", "system"), ("type", kind)], plain(text))))


def ids_of(
    segments: Sequence[Segment], marker_ids: Callable[[str], list[int]], plain_ids: Callable[[str], list[int]]
) -> list[list[int]]:
    """The ids of each segment, encoded by itself: a marker with special tokens read, a text with none."""
    known: dict[Segment, list[int]] = {}
    for segment in segments:
        if segment not in known:
            known[segment] = (marker_ids if segment.marker else plain_ids)(segment.text)
    return [known[segment] for segment in segments]
