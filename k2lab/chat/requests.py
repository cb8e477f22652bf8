"""Requests: messages, tools and parameters, validated and never mutated.

The shapes are those of the OpenAI chat API: a message is a mapping with a
``role``; a tool is ``{"type": "function", "function": {"name": ...}}``. What a
request holds beside messages and tools are its parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from k2lab.chat.calls import OBJECT, count_calls, name_of, tools_by_name
from k2lab.chat.checks import (
    SYSTEM_ROLES,
    Message,
    Tool,
    checked_message,
    checked_parameters,
    checked_tool,
    listed,
    mapping,
)
from k2lab.chat.choice import Choice
from k2lab.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Request:
    """A chat request: messages in order, the tools on offer, and its other fields by name.

    The mappings inside are shared, not copied: take :meth:`to_json` for a
    value that may be changed.

    >>> request = k2lab.Request.of([{"role": "user", "content": "Hello"}], parameters={"model": "kimi-k2.6"})
    >>> request.model, request.first_index
    ('kimi-k2.6', 0)
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        messages: Iterable[Mapping[str, object]],
        tools: Iterable[Mapping[str, object]] | None = None,
        parameters: Mapping[str, object] | None = None,
    ) -> Request:
        """Validate and freeze; raises :class:`RequestError` with the place of the fault."""
        frozen_messages = tuple(checked_message(index, item) for index, item in enumerate(listed("messages", messages)))
        if not frozen_messages:
            raise RequestError("messages is empty: a conversation needs at least one message")
        frozen_tools = tuple(checked_tool(index, item) for index, item in enumerate(listed("tools", tools or ())))
        return cls(messages=frozen_messages, tools=frozen_tools, parameters=checked_parameters(parameters or {}))

    @classmethod
    def unchecked(cls, data: Mapping[str, object]) -> Request:
        """A request as it was sent, right or not: for the reading of what others recorded.

        One that holds its prompt as text, or nothing, has no messages.
        """
        messages, tools = data.get("messages"), data.get("tools")
        return cls(
            messages=_mappings(messages),
            tools=_mappings(tools),
            parameters={key: value for key, value in data.items() if key not in ("messages", "tools")},
        )

    def to_json(self) -> dict[str, Any]:
        """A deep copy as plain JSON data: ``{"messages": [...], "tools": [...]}`` and the parameters beside them.

        One object that the caller put into two places is two in the copy, as in JSON's text.
        """
        return {
            "messages": [_separate(message) for message in self.messages],
            "tools": [_separate(tool) for tool in self.tools],
            **{name: _separate(value) for name, value in self.parameters.items()},
        }

    @property
    def template_kwargs(self) -> Mapping[str, object]:
        """Variables for the chat template: the request's ``chat_template_kwargs``."""
        return mapping("chat_template_kwargs", self.parameters.get("chat_template_kwargs"))

    def with_messages(self, messages: Iterable[Mapping[str, object]]) -> Request:
        """Other messages with the same tools and parameters; validated as :meth:`of` does."""
        return Request.of(messages, self.tools, self.parameters)

    def with_template_kwargs(self, kwargs: Mapping[str, object]) -> Request:
        """Further variables for the chat template, over those that the request has."""
        if not kwargs:
            return self
        return replace(self, parameters={**self.parameters, "chat_template_kwargs": {**self.template_kwargs, **kwargs}})

    @property
    def model(self) -> str | None:
        """The model that the request names."""
        named = self.parameters.get("model")
        return named if isinstance(named, str) and named else None

    @property
    def choice(self) -> Choice:
        """Its ``tool_choice``, read."""
        return Choice.of(self.parameters.get("tool_choice"))

    @property
    def functions(self) -> dict[str, Mapping[str, object]]:
        """The declared functions by name; the first counts where a name stands twice."""
        return tools_by_name(self.tools)

    @property
    def first_index(self) -> int:
        """The index of the next call: how many calls the messages hold."""
        return count_calls(self.messages)

    def tool_names(self) -> tuple[str, ...]:
        """Names of the declared tools, in order."""
        return tuple(name for tool in self.tools if (name := name_of(tool)) is not None)

    def prefix(self, length: int) -> Request:
        """The first ``length`` messages with the same tools and parameters."""
        return replace(self, messages=self.messages[:length])


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


def with_system_role(message: Mapping[str, object]) -> Message:
    """A copy of a message, K2-Vendor-Verifier's role ``_input`` written as ``system``."""
    return {**message, "role": "system"} if message.get("role") in SYSTEM_ROLES else dict(message)


def _mappings(value: object) -> tuple[dict[str, object], ...]:
    return tuple(item for item in value if isinstance(item, OBJECT)) if isinstance(value, (list, tuple)) else ()  # type: ignore[misc]


def _separate(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _separate(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_separate(item) for item in value]
    return copy.deepcopy(value)
