"""What people have in their files, told by its shape: a JSON value as one of the kinds, or why it is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from k2lab.apis import Api, api_of, api_of_answer, api_of_event, api_of_path, api_of_request
from k2lab.chat.checks import kind as kind_of
from k2lab.check.records import WORDS, Item, Kind
from k2lab.errors import InputError

Value = Mapping[str, Any]

EXPECTED = "messages, a request, an answer, a request with its answer, tools"
SCHEMA = 'a bare JSON Schema: put it into a tool, {"type": "function", "function": {"name": ..., "parameters": ...}}'
FOLDER = "a file of a model folder, which is not looked at here: see k2lab render and k2lab diff"


class UnrecognisedError(InputError):
    """What is looked at is of no known form, or of more than one."""


def items(value: object, kind: Kind | None = None, line: int | None = None) -> Iterator[Item]:
    """The items that a decoded value is, or holds in a list; ``kind`` says what it is to be taken for.

    Raises :class:`UnrecognisedError` for what is none, or could be several.

    >>> [item.kind for item in items([{"role": "user", "content": "Hi"}])]
    ['conversation']
    """
    if not kind and isinstance(value, dict) and _answered(value):
        yield _exchange(value, line)
        return
    readings = [_as(value, kind)] if kind else _readings(value)
    if len(readings) > 1:
        could = " or ".join(WORDS[reading.kind][0] for reading in readings)
        raise UnrecognisedError(f"it can be {could}: say which with --as {'|'.join(one.kind for one in readings)}")
    if readings:
        yield replace(readings[0], line=line)
        return
    if not isinstance(value, list) or not value or not all(isinstance(one, Mapping) for one in value):
        raise UnrecognisedError(_unlike(value))
    for number, one in enumerate(value):
        if not _of_object(one):
            raise UnrecognisedError(f"[{number}] in its list is {_unlike(one)}")
        for item in items(one, line=line):
            yield item.within(f"[{number}]")


def is_event(value: object) -> bool:
    """Whether a value is one event of a stream."""
    if not isinstance(value, Mapping):
        return False
    return str(value.get("object", "")).endswith(".chunk") or api_of_event(value) in ("responses", "messages")


def _readings(value: object) -> list[Item]:
    if isinstance(value, list):
        return _of_list(value)
    return _of_object(value) if isinstance(value, Mapping) else []


def _of_list(value: list[object]) -> list[Item]:
    messages = any(isinstance(one, Mapping) and "role" in one for one in value)
    found = [_as(value, "conversation")] if messages else []
    return [*found, _as(value, "tools")] if any(map(_is_tool, value)) else found


def _of_object(value: Value) -> list[Item]:
    if _answered(value):
        return [_as(value, "exchange")]
    kinds: list[Kind] = []
    if isinstance(value.get("raw_output"), str):
        kinds.append("output")
    elif api_of_answer(value) in ("responses", "messages"):
        kinds.append("answer")
    elif (api_of_request(value) is not None and "choices" not in value) or "messages" in value:
        kinds.append("request")
    elif isinstance(value.get("body"), Mapping) and "custom_id" in value:
        return [replace(_as(value["body"], "request"), api=_api_of_line(value)).within("body")]
    elif isinstance(value.get("tools"), list) or _is_tool(value):
        kinds.append("tools")
    if "choices" in value or ("error" in value and not kinds):
        kinds.append("answer")
    if not kinds and isinstance(value.get("response"), Mapping) and "custom_id" in value:
        return [_as(value["response"].get("body"), "answer").within("response.body")]
    return [_as(value, kind) for kind in kinds]


def _api_of_line(value: Value) -> Api:
    """The API of a batch's request: that of its path, else that of its form."""
    url = value.get("url")
    return (api_of_path(url) if isinstance(url, str) else None) or api_of_request(value["body"]) or "chat"


def _answered(value: Value) -> bool:
    """Whether a value holds a request and its answer, in the names that K2VV and others give them."""
    return isinstance(value.get("request"), Mapping) and "response" in value


def _as(value: Any, kind: Kind) -> Item:
    """A value taken for a kind; raises where it cannot be one."""
    if kind == "conversation":
        bare = not isinstance(value, Mapping)
        at = (("request.messages", ""), ("request", "")) if bare else (("request", ""),)
        return Item(kind=kind, request={"messages": value} if bare else value, at=at)
    if kind == "request":
        return Item(kind=kind, api=api_of_request(value) or "chat", request=_object(value, kind), at=(("request", ""),))
    if kind == "answer":
        return Item(kind=kind, api=api_of_answer(value) or "chat", answer=_object(value, kind), at=(("answer", ""),))
    if kind == "exchange":
        return _exchange(_object(value, kind))
    if kind == "tools":
        return _tools(value)
    if kind == "output" and isinstance(value, Mapping) and isinstance(value.get("raw_output"), str):
        return Item(kind=kind, text=value["raw_output"], tools=value.get("tools"), at=(("text", "raw_output"),))
    raise UnrecognisedError(f"it is {kind_of(value)} in JSON, and cannot be {WORDS[kind][0]}")


def _exchange(value: Value, line: int | None = None) -> Item:
    if not _answered(value):
        raise UnrecognisedError('a request with its answer is {"request": {...}, "response": {...}}')
    request, response, stored = value["request"], value["response"], value.get("tool_calls_valid")
    inner = isinstance(response, Mapping) and isinstance(response.get("body"), Mapping)
    asked = isinstance(request.get("body"), Mapping) and "messages" not in request
    sent = {**request["body"]} if asked else _with_extra_body(value, request)
    answer = response["body"] if inner else response
    return Item(
        kind="exchange",
        api=api_of(sent, answer),
        line=line,
        request=sent,
        answer=answer,
        stored=stored if isinstance(stored, bool) else None,
        at=(("request", "request.body" if asked else "request"), ("answer", "response.body" if inner else "response")),
    )


def _with_extra_body(value: Value, request: Value) -> Value:
    """K2VV's runner keeps beside a request what was put over its fields."""
    extra = value.get("extra_body")
    return {**request, **extra} if isinstance(extra, Mapping) and "messages" not in extra else request


def _tools(value: Any) -> Item:
    if isinstance(value, list):
        return Item(kind="tools", tools=value, at=(("tools", ""),))
    if isinstance(value, Mapping) and "tools" in value:
        return Item(kind="tools", tools=value["tools"], at=(("tools", "tools"),))
    return Item(kind="tools", tools=[_object(value, "tools")], at=(("tools[0]", ""), ("tools", "")))


def _object(value: Any, kind: Kind) -> Value:
    if not isinstance(value, Mapping):
        raise UnrecognisedError(f"it is {kind_of(value)} in JSON, and cannot be {WORDS[kind][0]}")
    return value


def _is_tool(value: object) -> bool:
    """Whether a value is a tool, in the form of the chat API or of another; a call has arguments."""
    if not isinstance(value, Mapping) or "role" in value:
        return False
    function = value.get("function")
    if isinstance(function, Mapping):
        return "arguments" not in function
    named = "name" in value and bool({"parameters", "input_schema", "inputSchema"} & value.keys())
    return named or value.get("type") == "function"


def _unlike(value: object) -> str:
    """What a value is that is none of the kinds."""
    if isinstance(value, Mapping):
        if "role" in value or value.get("type") == "message":
            return "one message: put it into a list"
        if "properties" in value or "$schema" in value:
            return SCHEMA
        if "model_type" in value or "chat_template" in value or "added_tokens" in value:
            return FOLDER
        names = ", ".join(sorted(map(str, value))[:6])
        return f"an object of another form (with {names or 'nothing in it'}); looked at are {EXPECTED}"
    return f"{'an empty list' if value == [] else kind_of(value)} in JSON; looked at are {EXPECTED}"
