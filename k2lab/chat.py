"""Conversations: messages, tools and the parameters of a request, loaded, validated and never mutated.

The shapes are those of the OpenAI chat API: a message is a mapping with a
``role``; a tool is ``{"type": "function", "function": {"name": ...}}``. A whole
chat request is a conversation, too: what it holds beside messages and tools are
its parameters.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from k2lab.errors import RequestError

Message = dict[str, Any]
Tool = dict[str, Any]

ROLES = frozenset({"system", "user", "assistant", "tool", "developer", "_input"})
"""Roles that are taken as they are; ``_input`` is K2-Vendor-Verifier's system role."""


@dataclass(frozen=True)
class Request:
    """Messages in order, the tools on offer, and the other fields of a request by name.

    The mappings inside are shared, not copied: take :meth:`to_json` for a
    value that may be changed.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        messages: Iterable[Mapping[str, Any]],
        tools: Iterable[Mapping[str, Any]] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Request:
        """Validate and freeze; raises :class:`RequestError` with the place of the fault."""
        frozen_messages = tuple(_message(index, item) for index, item in enumerate(_list("messages", messages)))
        if not frozen_messages:
            raise RequestError("messages is empty: a conversation needs at least one message")
        frozen_tools = tuple(_tool(index, item) for index, item in enumerate(_list("tools", tools or ())))
        return cls(frozen_messages, frozen_tools, _parameters(parameters or {}))

    def to_json(self) -> dict[str, Any]:
        """A deep copy as plain JSON data: ``{"messages": [...], "tools": [...]}`` and the parameters beside them."""
        data = {"messages": list(self.messages), "tools": list(self.tools), **self.parameters}
        return copy.deepcopy(data)

    @property
    def template_kwargs(self) -> Mapping[str, Any]:
        """Variables for the chat template: the request's ``chat_template_kwargs``."""
        return self.parameters.get("chat_template_kwargs") or {}

    def with_messages(self, messages: Iterable[Mapping[str, Any]]) -> Request:
        """Other messages with the same tools and parameters; validated as :meth:`of` does."""
        return Request.of(messages, self.tools, self.parameters)

    def with_template_kwargs(self, kwargs: Mapping[str, Any]) -> Request:
        """Further variables for the chat template, over those that the request has."""
        if not kwargs:
            return self
        return replace(self, parameters={**self.parameters, "chat_template_kwargs": {**self.template_kwargs, **kwargs}})

    def tool_names(self) -> tuple[str, ...]:
        """Names of the declared tools, in order."""
        return tuple(tool["function"]["name"] for tool in self.tools)

    def prefix(self, length: int) -> Request:
        """The first ``length`` messages with the same tools and parameters."""
        return replace(self, messages=self.messages[:length])


def load(path: str | Path) -> Request:
    """Read a conversation file: a chat request, or ``{"messages": [...], "tools": [...]}``, or a list of messages."""
    path = Path(path)
    data = _read_json(path, "conversation")
    try:
        return parse(data)
    except RequestError as error:
        raise RequestError(f"conversation {path}: {error}") from None


def load_tools(path: str | Path) -> tuple[Tool, ...]:
    """Read a file of tools: a list of them, or a conversation's ``{"tools": [...]}``."""
    path = Path(path)
    data = _read_json(path, "tools file")
    tools = data.get("tools") if isinstance(data, Mapping) else data
    try:
        return tuple(_tool(index, item) for index, item in enumerate(_list("tools", tools)))
    except RequestError as error:
        raise RequestError(f"tools file {path}: {error}") from None


def holds_messages(path: str | Path) -> bool:
    """Whether a file, such as one of tools, is a whole chat request."""
    data = _read_json(Path(path), "file")
    return isinstance(data, Mapping) and "messages" in data


def parse(data: object) -> Request:
    """A conversation from decoded JSON.

    An ``extra_body``, which the openai client puts over the fields of the request, is put over them here.
    """
    if isinstance(data, list):
        return Request.of(data)
    if not isinstance(data, Mapping):
        raise RequestError(f'expected {{"messages": [...], "tools": [...]}}, found {_kind(data)}')
    if "messages" not in data:
        raise RequestError('no "messages": expected {"messages": [...], "tools": [...]}')
    fields = {**data, **_object("extra_body", data.get("extra_body"))}
    parameters = {key: value for key, value in fields.items() if key not in ("messages", "tools", "extra_body")}
    return Request.of(fields["messages"], fields.get("tools"), parameters)


CHAT_ONLY = frozenset(
    {"messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "stream", "stream_options",
     "chat_template", "chat_template_kwargs", "add_generation_prompt", "continue_final_message", "documents",
     "reasoning_effort", "thinking", "functions", "function_call", "modalities"}
)  # fmt: skip
"""What a chat request may hold and a plain completion cannot: it is in the prompt already, or lost with it."""

PROMPT_PARAMETERS = frozenset(
    {"chat_template", "chat_template_kwargs", "add_generation_prompt", "continue_final_message", "documents",
     "reasoning_effort", "thinking"}
)  # fmt: skip
"""What may shape the prompt of a chat request beside its messages and tools, on one server or another."""


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message's content: a string as it is, text parts joined, ``None`` as empty."""
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))


def _read_json(path: Path, what: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"cannot read {what} {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{what} {path} is not JSON: {error}") from error


def _list(name: str, value: object) -> Sequence[Any]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise RequestError(f"{name} must be a list, found {_kind(value)}")
    return list(value)


def _object(name: str, value: object) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise RequestError(f"{name} must be an object, found {_kind(value)}")
    return value or {}


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    _object("chat_template_kwargs", parameters.get("chat_template_kwargs"))
    return dict(parameters)


def _message(index: int, message: object) -> Message:
    where = f"messages[{index}]"
    if not isinstance(message, Mapping):
        raise RequestError(f"{where} must be an object, found {_kind(message)}")
    role = message.get("role")
    if not isinstance(role, str):
        raise RequestError(f"{where} has no role: add one of {', '.join(sorted(ROLES))}")
    if role not in ROLES:
        raise RequestError(f"{where} has the unknown role {role!r}: use one of {', '.join(sorted(ROLES))}")
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise RequestError(f"{where}.content must be a string, a list of parts or null, found {_kind(content)}")
    _check_calls(where, message.get("tool_calls"))
    return dict(message)


def _check_calls(where: str, calls: object) -> None:
    if calls is None:
        return
    if not isinstance(calls, list):
        raise RequestError(f"{where}.tool_calls must be a list, found {_kind(calls)}")
    for index, call in enumerate(calls):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise RequestError(f"{where}.tool_calls[{index}] has no function.name")


def _tool(index: int, tool: object) -> Tool:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(tool, Mapping) or not isinstance(function, Mapping):
        raise RequestError(f'tools[{index}] must be {{"type": "function", "function": {{...}}}}')
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise RequestError(f"tools[{index}].function has no name")
    return dict(tool)


def _kind(value: object) -> str:
    names = {"dict": "an object", "list": "a list", "str": "a string", "NoneType": "null", "bool": "a boolean"}
    return names.get(type(value).__name__, f"a value of type {type(value).__name__}")
