"""Anthropic's content blocks, which Kimi's templates do not print, as fields and messages of the chat API.

``tool_use`` becomes a call, ``thinking`` the reasoning, ``tool_result`` a tool
message of its own, before what else the user said: the Messages API has results
come first. ``is_error`` has no place in a tool message; its text says what failed,
and a failure without a text is left as it is, to be written by whoever knows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from k2lab import wire
from k2lab.chat import SYSTEM_ROLES, Message, Request, ToolCall, canonical
from k2lab.repairs.records import Change, Editor, Problem

BLOCKS, OLD_CALL = "blocks_of_another_api", "old_function_call"

Block = Any


def with_system(request: Request) -> tuple[Request, list[Change]]:
    """The Messages API's ``system``, which is no field of a chat request, as the first message."""
    system, messages = request.parameters.get("system"), request.messages
    if not isinstance(system, str | list) or not system or messages[0]["role"] in (*SYSTEM_ROLES, "developer"):
        return request, []
    first: Message = {"role": "system", "content": copy.deepcopy(system)}
    parameters = {name: value for name, value in request.parameters.items() if name != "system"}
    change = Change(
        message=0,
        field="content",
        before=None,
        after=first["content"],
        reason="the system prompt beside the messages as the first of them",
        finding=BLOCKS,
    )
    return Request.of([first, *messages], request.tools, parameters), [change]


def lifted(messages: Sequence[Message]) -> Editor:
    """The messages, and ``tool_result`` blocks as messages of their own; a block that has no one reading stays."""
    editor = Editor([])
    for index, message in enumerate(messages):
        content = message.get("content")
        blocks = content if isinstance(content, list) else []
        results = [block for block in blocks if _is_result(block)]
        if message["role"] == "user" and results:
            _lift_results(editor, index, message, results)
        else:
            editor.messages.append(message)
        editor.origins += [index] * (len(editor.messages) - len(editor.origins))
        if message["role"] == "tool" and len(results) == len(blocks) == 1:
            _unwrap(editor, results[0])
    return editor


def mend(editor: Editor) -> None:
    """An assistant's blocks as its calls and its reasoning."""
    for index, message in enumerate(editor.messages):
        if message["role"] != "assistant":
            continue
        _lift_function_call(editor, index, message)
        if isinstance(message.get("content"), list):
            _lift_calls(editor, index, message)
            _lift_thinking(editor, index, message)


def problems(request: Request) -> Iterator[Problem]:
    """A system prompt beside messages that have one."""
    if request.parameters.get("system"):
        problem = "no field of a chat request, and messages[0] is a system message, too: it vanishes from the prompt"
        yield Problem(message=None, path="system", problem=problem, fix="write both into messages[0]", finding=BLOCKS)


def kind_of(block: Block) -> str | None:
    """The type of a content part, where it says one."""
    kind = block.get("type") if isinstance(block, Mapping) else None
    return kind if isinstance(kind, str) else None


def _is_result(block: Block) -> bool:
    return (
        kind_of(block) == "tool_result"
        and isinstance(block.get("tool_use_id"), str)
        and isinstance(block.get("content"), str | list | None)
        and not (block.get("is_error") and not _has_text(block.get("content")))
    )


def _has_text(content: object) -> bool:
    if isinstance(content, str):
        return bool(content.strip())
    return isinstance(content, list) and any(
        isinstance(part, Mapping) and isinstance(part.get("text"), str) and part["text"].strip() for part in content
    )


def _lift_results(editor: Editor, given: int, message: Message, results: list[Block]) -> None:
    content, start = message["content"], len(editor.messages)
    editor.messages += [
        {"role": "tool", "tool_call_id": block["tool_use_id"], "content": block.get("content") or ""}
        for block in results
    ]
    rest = [block for block in content if not _is_result(block)]
    if rest:
        editor.messages.append({**message, "content": rest})
    reason = f"tool_result blocks of messages[{given}] as tool messages of their own"
    if any(block.get("is_error") for block in results):
        reason += "; is_error has no place there, the text says what failed"
    editor.note(start, "content", content, editor.messages[start:], reason, BLOCKS)


def _unwrap(editor: Editor, block: Block) -> None:
    where = len(editor.messages) - 1
    if not isinstance(editor.messages[where].get("tool_call_id"), str):
        editor.set(where, "tool_call_id", block["tool_use_id"], "from its tool_result block", BLOCKS)
    editor.set(where, "content", block.get("content") or "", "what its tool_result block holds", BLOCKS)


def _lift_calls(editor: Editor, index: int, message: Message) -> None:
    """``tool_use`` blocks as the calls, or away where ``tool_calls`` holds the same ones."""
    blocks = [block for block in message["content"] if _is_call(block)]
    given, calls = message.get("tool_calls") or [], [_call(block) for block in blocks]
    if not blocks or (given and canonical(map(ToolCall.of, given)) != canonical(map(ToolCall.of, calls))):
        return
    if not given:
        editor.set(index, "tool_calls", calls, "tool_use blocks as calls", BLOCKS)
    rest = [block for block in message["content"] if block not in blocks]
    editor.set(index, "content", rest, "its tool_use blocks are calls", BLOCKS)


def _is_call(block: Block) -> bool:
    return (
        kind_of(block) == "tool_use"
        and isinstance(block.get("name"), str)
        and bool(block["name"])
        and isinstance(block.get("input", {}), Mapping | str)
    )


def _call(block: Mapping[str, object]) -> dict[str, object]:
    given = block.get("input", {})
    arguments = wire.arguments_text(given) if isinstance(given, Mapping) else given
    return {"id": block.get("id"), "type": "function", "function": {"name": block["name"], "arguments": arguments}}


def _lift_thinking(editor: Editor, index: int, message: Message) -> None:
    content = message["content"]
    thoughts = [block["thinking"] for block in content if _is_thought(block)]
    reasoning = "".join(thoughts)
    if not thoughts or (message.get("reasoning_content") or reasoning) != reasoning:
        return
    if message.get("reasoning_content") != reasoning:
        reason = "thinking blocks as the reasoning, their signatures left out"
        editor.set(index, "reasoning_content", reasoning, reason, BLOCKS)
    rest = [block for block in content if not _is_thought(block)]
    editor.set(index, "content", rest, "its thinking blocks are the reasoning", BLOCKS)


def _is_thought(block: Block) -> bool:
    return kind_of(block) == "thinking" and isinstance(block.get("thinking"), str)


def _lift_function_call(editor: Editor, index: int, message: Message) -> None:
    """The chat API's form from before ``tool_calls``; templates do not print it."""
    call = message.get("function_call")
    if not isinstance(call, Mapping) or not isinstance(call.get("name"), str) or message.get("tool_calls"):
        return
    made = {"id": None, "type": "function", "function": dict(call)}
    editor.set(index, "tool_calls", [made], "function_call, an older form", OLD_CALL)
    editor.drop(index, "function_call", "it is in tool_calls", OLD_CALL)
