"""OpenAI's Responses API as the chat API: a request's items as messages, an answer's as one.

Which items make one message, what a namespace does to a name, and the schema
that a custom tool is shown with are vLLM 0.32.0's
(``entrypoints/openai/responses/utils.py``, ``tool_parsers/utils.py``); the forms
are those of the ``openai`` package (``types/responses``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k2lab.apis.making import Making, as_text, call_of, said_of, with_messages
from k2lab.apis.records import AsChat, Json, listed, word

CALLS: Mapping[str, str] = {"function_call": "arguments", "custom_tool_call": "input"}
"""Items that are calls which the client runs, and the field that holds their arguments."""
RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})

KEPT = ("previous_response_id", "conversation", "previous_input_messages", "prompt")
"""Fields that name a history, or a prompt, which is not in the request."""

FIELDS = ("model", "parallel_tool_calls", "chat_template_kwargs", "structured_outputs")
"""Fields that mean the same in the chat API."""

CUSTOM_INPUT: Mapping[str, object] = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The freeform text payload for this tool."}},
    "required": ["input"],
    "additionalProperties": False,
}


def request_of(request: Mapping[str, object]) -> AsChat:
    """A request as a chat request; never raises, and every call of it is one there.

    >>> made = request_of({"input": [{"type": "function_call", "call_id": "1", "name": "now", "arguments": "{}"}]})
    >>> made.value["messages"][0]["tool_calls"][0]["id"], made.origins.of("messages[0].tool_calls[0].id")
    ('1', 'input[0].call_id')
    """
    making, given = Making(), request.get("input")
    making.origins.made("messages", "input")
    if request.get("instructions"):
        making.message({"role": "system", "content": request["instructions"]}, "instructions")
    if isinstance(given, str):
        making.message({"role": "user", "content": given}, "input")
    for place, item in enumerate(listed(given)):
        _add(making, item, f"input[{place}]")
    kept = [name for name in KEPT if request.get(name) is not None]
    for name in kept:
        making.skip(name, "what the server keeps is not in the request")
    value: Json = {name: request[name] for name in FIELDS if name in request}
    value |= _choice(making, request.get("tool_choice")) | _tools(making, request.get("tools"))
    text = request.get("text")
    if isinstance(text, Mapping) and text.get("format") is not None:
        value["response_format"] = text["format"]
    items = [] if isinstance(given, str) or (given is None and kept) else given
    return making.done(with_messages(value, making, items), keeps_history=not kept)


def _add(making: Making, item: Any, place: str) -> None:
    kind, role = word(item, "type"), word(item, "role")
    if kind in CALLS:
        _call(making, item, kind, place)
    elif kind in RESULTS:
        making.result(item.get("call_id"), item.get("output"), place, id="call_id", content_name="output")
    elif kind == "reasoning":
        _reasoning(making, item, place)
    elif kind not in ("", "message"):
        making.skip(place, f"an item of type {kind}")
    elif role == "assistant":
        _spoken(making, item, place)
    elif role:
        names = ("role", "content", "tool_call_id")
        message = {name: item[name] for name in names if name in item}
        making.given(message | {"content": _parts(item.get("content"))}, place)
    else:
        making.given(item, place)


def _call(making: Making, item: Json, kind: str, place: str) -> None:
    message = making.open_assistant(place, lacking="")
    making.call(message, _as_call(item, kind), place, id="call_id", arguments=CALLS[kind])


def _as_call(item: Mapping[str, object], kind: str) -> Json:
    name, space = item.get("name"), item.get("namespace")
    whole = f"{space}__{name}" if space and isinstance(space, str) and isinstance(name, str) else name
    arguments = item.get(CALLS[kind])
    return call_of(item.get("call_id"), whole, as_text({"input": arguments}) if kind != "function_call" else arguments)


def _reasoning(making: Making, item: Json, place: str) -> None:
    name = "content" if _texts(item, "content", place) else "summary"
    texts = _texts(item, name, place)
    if len(texts) > 1:
        making.joined.append(f"{place}.{name}")
    if item.get("encrypted_content") and not texts:
        making.skip(f"{place}.encrypted_content", "reasoning that its vendor alone can read")
    if texts:
        message = making.open_assistant(place, lacking="reasoning_content")
        message["reasoning_content"] = "".join(text for text, _ in texts)
        making.origins.made(f"{making.last}.reasoning_content", texts[0][1] if len(texts) == 1 else place)


def _spoken(making: Making, item: Json, place: str) -> None:
    """What the assistant said: its text is the content of the message that has none yet."""
    if item.get("tool_calls") is not None:
        making.fault(f"{place}.tool_calls", "a field of the chat API: here a call is an item of type function_call")
    content = item.get("content")
    texts = _texts(item, "content", place)
    message = making.open_assistant(place, lacking="content")
    whole = isinstance(content, list) and len(texts) == len(content)
    if len(texts) > 1:
        making.joined.append(f"{place}.content")
    message["content"] = "".join(text for text, _ in texts) if whole else _parts(content)
    if whole and len(texts) == 1:
        making.origins.made(f"{making.last}.content", texts[0][1])
    else:
        making.origins.same(f"{making.last}.content", f"{place}.content")


def _texts(item: Any, name: str, place: str) -> list[tuple[str, str]]:
    """The parts of a list that are text, each with its place."""
    return [
        (part["text"], f"{place}.{name}[{number}].text")
        for number, part in enumerate(listed(item.get(name)))
        if isinstance(part, Mapping) and isinstance(part.get("text"), str)
    ]


def _parts(content: object) -> object:
    """A content, its pictures in the chat API's form."""
    if not isinstance(content, list):
        return content
    return [_picture(part) if word(part, "type") == "input_image" else part for part in content]


def _picture(part: Mapping[str, object]) -> Json:
    return {"type": "image_url", "image_url": {"url": part.get("image_url")}}


def _tools(making: Making, tools: object) -> Json:
    """The tools that the client runs, each with its place; the names of the others."""
    if not isinstance(tools, list):
        return {} if tools is None else {"tools": tools}
    made: list[object] = []
    for number, tool in enumerate(tools):
        kind, place = word(tool, "type"), f"tools[{number}]"
        if kind == "namespace":
            for inner, part in enumerate(listed(tool.get("tools"))):
                _tool(making, made, part, f"{place}.tools[{inner}]", f"{word(tool, 'name')}__")
        else:
            _tool(making, made, tool, place, "")
    return {"tools": made} if made or not tools else {}


def _tool(making: Making, made: list[object], tool: Any, place: str, space: str) -> None:
    kind, path = word(tool, "type"), f"tools[{len(made)}]"
    name = word(tool, "name")
    if kind == "custom":
        if isinstance(tool.get("format"), Mapping) and tool["format"].get("type") != "text":
            making.skip(f"{place}.format", "a grammar for the text of a custom tool")
        made.append(_function({"name": tool.get("name"), "parameters": CUSTOM_INPUT}, tool, ("description",)))
        making.origins.made(path, place)
    elif kind == "function" and "function" not in tool and name:
        named = {"name": f"{space}{name}"}
        made.append(_function(named, tool, ("description", "parameters", "strict")))
        making.origins.made(path, place)
        making.origins.same(f"{path}.function", place)
    elif kind not in ("", "function"):
        making.skip(place, f"a tool of type {kind}, which the server runs")
    else:
        made.append(tool)
        making.origins.same(path, place)


def _function(function: Json, tool: Mapping[str, object], names: tuple[str, ...]) -> Json:
    given = {name: tool[name] for name in names if tool.get(name) is not None}
    return {"type": "function", "function": function | given}


def _choice(making: Making, choice: object) -> Json:
    kind = word(choice, "type")
    if kind == "custom" and isinstance(choice, Mapping):
        return {"tool_choice": {"type": "function", "function": {"name": choice.get("name")}}}
    if kind not in ("", "function", "allowed_tools"):
        making.skip("tool_choice", f"a tool_choice of type {kind}, which the server runs")
        return {}
    return {} if choice is None else {"tool_choice": choice}


def answer_of(answer: Mapping[str, object]) -> AsChat:
    """An answer as one of the chat API; one without items has no choices there.

    >>> item = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    >>> made = answer_of({"object": "response", "status": "completed", "output": [item]})
    >>> made.value["choices"][0]["message"]["content"], made.origins.of("choices[0].message.content")
    ('Hi', 'output[0].content[0].text')
    """
    making, output = Making(), answer.get("output")
    if answer.get("error") or word(answer, "status") == "failed":
        return making.done({"error": answer.get("error") or {"message": "its status is failed"}})
    if not isinstance(output, list):
        return making.done({})
    message = _said(making, output)
    making.origins.made("choices[0]", "output")
    making.origins.made("choices[0].finish_reason", "status")
    if word(answer, "status") in ("in_progress", "queued", "cancelled"):
        making.skip("status", f"an answer whose status is {answer['status']}: it is no whole one")
    reason = finish_reason_of(answer)
    reason = "tool_calls" if reason == "stop" and message.get("tool_calls") else reason
    value = {name: answer[name] for name in ("id", "model", "usage") if name in answer}
    value["choices"] = [{"index": 0, "message": message, "finish_reason": reason}]
    return making.done(value, reason=f"status {answer.get('status')!r}")


def _said(making: Making, output: list[Any]) -> Json:
    texts: list[tuple[str, str]] = []
    thoughts: list[tuple[str, str]] = []
    calls: list[Json] = []
    refusals: list[str] = []
    for number, item in enumerate(output):
        kind, place = word(item, "type"), f"output[{number}]"
        if kind in CALLS:
            making.at_call(f"choices[0].message.tool_calls[{len(calls)}]", place, id="call_id", arguments=CALLS[kind])
            calls.append(_as_call(item, kind))
        elif kind == "message":
            texts += _texts(item, "content", place)
            refusals += [word(part, "refusal") for part in listed(item.get("content"))]
        elif kind == "reasoning":
            thoughts += _texts(item, "content", place) or _texts(item, "summary", place)
        else:
            making.skip(place, f"an item of type {kind}" if kind else "an item without a type")
    message = said_of(making, texts, thoughts, calls, "output")
    return message | {"refusal": "".join(refusals)} if any(refusals) else message


def finish_reason_of(answer: Mapping[str, object]) -> str | None:
    """How an answer ended, in the chat API's words; ``None`` where it does not say."""
    status = word(answer, "status")
    if status == "incomplete":
        reason = word(answer.get("incomplete_details"), "reason")
        return {"max_output_tokens": "length", "content_filter": "content_filter"}.get(reason)
    return {"completed": "stop", "in_progress": "length", "queued": "length", "cancelled": "length"}.get(status)
