"""Anthropic's Messages API as the chat API: blocks as calls, results and reasoning, an answer's blocks as a message.

What becomes of each block is read from vLLM 0.32.0
(``entrypoints/anthropic/serving.py``); the forms are those of the ``anthropic``
package (``types``). Blocks that vLLM answers 400 to, such as ``document``, and
those of tools that Anthropic's servers run have no word in the chat API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k2lab.apis.making import Making, as_text, call_of, said_of, with_messages
from k2lab.apis.records import AsChat, Json, listed, word

ROLES = ("user", "assistant", "system")
REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "refusal": "content_filter",
}
"""What an answer's ``stop_reason`` is in the chat API; after ``pause_turn`` it is to be gone on with."""

PLAIN = frozenset({"text", "image"})
"""Blocks that are parts of a content in the chat API, too."""
BESIDE = ("cache_control", "citations", "signature", "is_error")
"""Fields of blocks and tools that are no part of a prompt."""
KEPT = ("mcp_servers", "container", "context_management")
"""Fields by which the server does something that is not in the request."""


def request_of(request: Mapping[str, object]) -> AsChat:
    """A request as a chat request; never raises, and every call of it is one there.

    >>> block = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
    >>> made = request_of({"messages": [{"role": "assistant", "content": [block]}]})
    >>> made.value["messages"][0]["tool_calls"][0]["id"], made.origins.of("messages[0].tool_calls[0].id")
    ('toolu_1', 'messages[0].content[0].id')
    """
    making, given = Making(), request.get("messages")
    making.origins.made("messages", "messages")
    if request.get("system"):
        making.message({"role": "system", "content": request["system"]}, "system")
        making.origins.same(f"{making.last}.content", "system")
        for block in listed(request["system"]):
            making.pass_over(block, BESIDE)
    for place, message in enumerate(listed(given)):
        _add(making, message, f"messages[{place}]")
    for name in KEPT:
        if request.get(name):
            making.skip(name, "what the server does with it is not in the request")
    value: Json = {name: request[name] for name in ("model", "chat_template_kwargs") if name in request}
    value |= _thinking(request.get("thinking")) | _choice(request.get("tool_choice"))
    value |= _tools(making, request.get("tools"))
    return making.done(with_messages(value, making, given))


def _add(making: Making, message: Any, place: str) -> None:
    role, content = word(message, "role"), message.get("content") if isinstance(message, Mapping) else None
    if role and role not in ROLES:
        making.fault(f"{place}.role", f"the Messages API knows no role {role[:40]!r}: use one of {', '.join(ROLES)}")
    if role in ROLES and message.get("tool_calls") is not None:
        making.fault(f"{place}.tool_calls", "a field of the chat API: here a call is a block of type tool_use")
    if role in ROLES and isinstance(content, list):
        _add_blocks(making, role, content, place)
    else:
        making.given(message, place)


def _add_blocks(making: Making, role: str, blocks: list[Any], place: str) -> None:
    """Results come first, as messages of their own; what else was said is one message."""
    rest: list[tuple[Any, str]] = []
    for number, block in enumerate(blocks):
        at = f"{place}.content[{number}]"
        making.pass_over(block, BESIDE)
        if word(block, "type") != "tool_result":
            rest.append((block, at))
        elif role == "user":
            _result(making, block, at)
        else:
            making.fault(at, f"a result in a message of role {role}: results are the user's")
    if rest or not blocks:
        _add_rest(making, role, rest, place)


def _result(making: Making, block: Json, place: str) -> None:
    making.result(block.get("tool_use_id"), block.get("content"), place, id="tool_use_id", content_name="content")
    for part in listed(block.get("content")):
        making.pass_over(part, BESIDE)


def _add_rest(making: Making, role: str, blocks: list[tuple[Any, str]], place: str) -> None:
    parts, thoughts, calls = list[tuple[Any, str]](), list[tuple[str, str]](), list[tuple[Json, str]]()
    for block, at in blocks:
        kind = word(block, "type")
        if kind == "tool_use":
            calls.append((block, at))
            if role != "assistant":
                making.fault(at, f"a call in a message of role {role}: calls are the assistant's")
        elif kind == "thinking" and isinstance(block.get("thinking"), str):
            thoughts.append((block["thinking"], f"{at}.thinking"))
        elif kind in PLAIN or not kind:
            parts.append((block, at))
        else:
            making.skip(at, f"a block of type {kind}")
    if not (parts or thoughts or calls) and blocks:
        return
    making.message({"role": role, **_content(making, parts, place)}, place)
    _fill(making, thoughts, calls, place)


def _content(making: Making, parts: list[tuple[Any, str]], place: str) -> Json:
    """The content of the message that comes next: one text as it is, several parts as a list."""
    path = f"messages[{len(making.messages)}].content"
    if len(parts) == 1 and isinstance(parts[0][0], Mapping) and isinstance(parts[0][0].get("text"), str):
        making.origins.made(path, f"{parts[0][1]}.text")
        return {"content": parts[0][0]["text"]}
    making.origins.made(path, f"{place}.content")
    for number, (_, at) in enumerate(parts):
        making.origins.same(f"{path}[{number}]", at)
    return {"content": [part for part, _ in parts] or None}


def _fill(making: Making, thoughts: list[tuple[str, str]], calls: list[tuple[Json, str]], place: str) -> None:
    message: Any = making.messages[-1]
    making.origins.made(f"{making.last}.role", f"{place}.role")
    if thoughts:
        message["reasoning_content"] = "".join(text for text, _ in thoughts)
        making.origins.made(f"{making.last}.reasoning_content", thoughts[0][1] if len(thoughts) == 1 else place)
    for block, at in calls:
        making.call(message, _as_call(block), at, id="id", arguments="input")


def _as_call(block: Mapping[str, object]) -> Json:
    """A call; the text of an input is known where a stream gave it in pieces (``partial_json``)."""
    text = block.get("partial_json")
    given = as_text(block["input"]) if "input" in block else None
    return call_of(block.get("id"), block.get("name"), text if isinstance(text, str) else given)


def _tools(making: Making, tools: object) -> Json:
    """The tools that the client runs, each with its place; the names of the others."""
    if not isinstance(tools, list):
        return {} if tools is None else {"tools": tools}
    made: list[object] = []
    for number, tool in enumerate(tools):
        _tool(making, made, tool, f"tools[{number}]")
    return {"tools": made} if made or not tools else {}


def _tool(making: Making, made: list[object], tool: Any, place: str) -> None:
    kind, path = word(tool, "type"), f"tools[{len(made)}]"
    making.pass_over(tool, BESIDE)
    if not isinstance(tool, Mapping) or "function" in tool or not word(tool, "name"):
        made.append(tool)
        making.origins.same(path, place)
        if isinstance(tool, Mapping) and "function" in tool:
            making.fault(place, "a tool of the chat API: here it is name, description and input_schema")
        return
    if "input_schema" not in tool and kind not in ("", "custom"):
        making.skip(place, f"a tool of type {kind}, whose schema is its vendor's")
        return
    if not isinstance(tool.get("input_schema"), Mapping):
        making.fault(f"{place}.input_schema", f"the tool {tool['name'][:40]!r} has no schema")
    function = {name: tool[name] for name in ("name", "description", "strict") if tool.get(name) is not None}
    if "input_schema" in tool:
        function["parameters"] = tool["input_schema"]
    made.append({"type": "function", "function": function})
    making.origins.made(path, place)
    making.origins.same(f"{path}.function", place)
    making.origins.same(f"{path}.function.parameters", f"{place}.input_schema")


def _choice(choice: object) -> Json:
    """A choice in the chat API's form; one of an unknown form as it is."""
    if choice is None:
        return {}
    kind, name = word(choice, "type"), word(choice, "name")
    named = {"type": "function", "function": {"name": name}} if name else None
    made = {"auto": "auto", "any": "required", "none": "none", "tool": named}.get(kind)
    alone = isinstance(choice, Mapping) and choice.get("disable_parallel_tool_use") is True
    return {"tool_choice": choice if made is None else made} | ({"parallel_tool_calls": False} if alone else {})


def _thinking(thinking: object) -> Json:
    """Whether the model is to think, in the form of Moonshot's API."""
    kind = word(thinking, "type")
    return {"thinking": {"type": kind}} if kind in ("enabled", "disabled") else {}


def answer_of(answer: Mapping[str, object]) -> AsChat:
    """An answer as one of the chat API; one without blocks has no choices there.

    >>> said = {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
    >>> made = answer_of(said)
    >>> made.value["choices"][0]["finish_reason"], made.origins.of("choices[0].message.content")
    ('stop', 'content[0].text')
    """
    making, content = Making(), answer.get("content")
    if answer.get("error") or word(answer, "type") == "error":
        return making.done({"error": answer.get("error") or {"message": "no more is said of it"}})
    if not isinstance(content, list):
        return making.done({})
    message = _said(making, content)
    making.origins.made("choices[0]", "content")
    making.origins.made("choices[0].finish_reason", "stop_reason")
    given = answer.get("stop_reason")
    reason = REASONS.get(given, given) if isinstance(given, str) else None
    value = {name: answer[name] for name in ("id", "model", "usage") if name in answer}
    value["choices"] = [{"index": 0, "message": message, "finish_reason": reason}]
    return making.done(value, reason=f"stop_reason {given!r}")


def _said(making: Making, content: list[Any]) -> Json:
    texts: list[tuple[str, str]] = []
    thoughts: list[tuple[str, str]] = []
    calls: list[Json] = []
    for number, block in enumerate(content):
        kind, place = word(block, "type"), f"content[{number}]"
        making.pass_over(block, BESIDE)
        if kind == "tool_use":
            making.at_call(f"choices[0].message.tool_calls[{len(calls)}]", place, id="id", arguments="input")
            calls.append(_as_call(block))
        elif kind in ("text", "thinking"):
            said = [(word(block, kind), f"{place}.{kind}")]
            texts, thoughts = (texts + said, thoughts) if kind == "text" else (texts, thoughts + said)
        else:
            making.skip(place, f"a block of type {kind}" if kind else "a block without a type")
    return said_of(making, texts, thoughts, calls, "content")
