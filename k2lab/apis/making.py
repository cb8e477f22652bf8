"""A chat request or answer in the making: its messages, each part with the place that it came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from k2lab.apis.records import AsChat, Json, OriginalPlaces, Remark


@dataclass(kw_only=True, slots=True)
class Making:
    """What is gathered while a request or an answer is read; :meth:`done` gives it."""

    origins: OriginalPlaces = field(default_factory=OriginalPlaces)
    messages: list[object] = field(default_factory=list)
    faults: list[Remark] = field(default_factory=list)
    unseen: list[Remark] = field(default_factory=list)
    passed_over: dict[str, None] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)

    @property
    def last(self) -> str:
        """The path of the message that was begun last."""
        return f"messages[{len(self.messages) - 1}]"

    def message(self, message: object, place: str) -> None:
        """A message that was made of a part."""
        self.messages.append(message)
        self.origins.made(self.last, place)

    def given(self, message: object, place: str) -> None:
        """A message whose fields stand in the original under the same names."""
        self.messages.append(message)
        self.origins.same(self.last, place)

    def open_assistant(self, place: str, lacking: str = "") -> Json:
        """The assistant's message that is open and lacks a field, else a new one."""
        last = self.messages[-1] if self.messages else None
        if isinstance(last, dict) and last.get("role") == "assistant" and (not lacking or last.get(lacking) is None):
            return last
        made: Json = {"role": "assistant", "content": None}
        self.message(made, place)
        return made

    def call(self, message: Json, call: Json, place: str, *, id: str, arguments: str) -> None:
        """A call of the last message's; ``id`` and ``arguments`` are the names of these fields in the original."""
        calls = message.setdefault("tool_calls", [])
        self.at_call(f"{self.last}.tool_calls[{len(calls)}]", place, id=id, arguments=arguments)
        calls.append(call)

    def at_call(self, path: str, place: str, *, id: str, arguments: str) -> None:
        """Say where the parts of a call stood."""
        self.origins.made(path, place)
        self.origins.made(f"{path}.id", f"{place}.{id}")
        self.origins.made(f"{path}.function.name", f"{place}.name")
        self.origins.same(f"{path}.function.arguments", f"{place}.{arguments}")

    def result(self, known: object, content: object, place: str, *, id: str, content_name: str) -> None:
        """A tool's result."""
        self.message({"role": "tool", "tool_call_id": known, "content": "" if content is None else content}, place)
        self.origins.made(f"{self.last}.tool_call_id", f"{place}.{id}")
        self.origins.same(f"{self.last}.content", f"{place}.{content_name}")

    def fault(self, place: str, words: str) -> None:
        """Something of a form that the API refuses."""
        self.faults.append(Remark(place=place, words=words))

    def skip(self, place: str, words: str) -> None:
        """Something of which nothing can be said."""
        self.unseen.append(Remark(place=place, words=words))

    def pass_over(self, value: object, names: Iterable[str]) -> None:
        """Note those of the names that a value has."""
        if isinstance(value, Mapping):
            self.passed_over.update((name, None) for name in names if value.get(name) is not None)

    def done(self, value: Json, *, keeps_history: bool = True, reason: str = "") -> AsChat:
        """What was gathered, beside the value that came of it."""
        return AsChat(
            value=value,
            origins=self.origins,
            faults=tuple(self.faults),
            unseen=tuple(self.unseen),
            passed_over=tuple(self.passed_over),
            joined=tuple(self.joined),
            keeps_history=keeps_history,
            reason=reason,
        )


def with_messages(value: Json, making: Making, given: object) -> Json:
    """A request with the messages that were made of what is ``given``; that itself, where none could be."""
    if not isinstance(given, list):
        return {**value, "messages": given}
    if making.messages or not making.unseen:
        return {**value, "messages": making.messages}
    return {**value, "prompt": None}  # all of it is unseen: no message is at fault


def call_of(known: object, name: object, arguments: object) -> Json:
    """A call in the chat API's form; arguments that are absent stay so."""
    function = {"name": name} if arguments is None else {"name": name, "arguments": arguments}
    return {"id": known, "type": "function", "function": function}


def as_text(value: object) -> object:
    """A value as JSON text; a value that has none stays as it is."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return value


def said_of(
    making: Making, texts: list[tuple[str, str]], thoughts: list[tuple[str, str]], calls: list[Json], whole: str
) -> Json:
    """The message of an answer; texts and thoughts are each with its place, ``whole`` is that of all parts."""
    message: Json = {"role": "assistant", "content": "".join(text for text, _ in texts) if texts else None}
    path = "choices[0].message"
    if calls:
        message["tool_calls"] = calls
    if thoughts:
        message["reasoning_content"] = "".join(text for text, _ in thoughts)
    making.origins.made(path, whole)
    making.origins.made(f"{path}.content", texts[0][1] if len(texts) == 1 else whole)
    making.origins.made(f"{path}.reasoning_content", thoughts[0][1] if len(thoughts) == 1 else whole)
    return message
