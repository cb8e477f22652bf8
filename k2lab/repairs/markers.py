"""Texts of a conversation that hold markers of the format, and calls that an earlier answer leaked into its text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from k2lab import wire
from k2lab.chat import Message, ToolCall, canonical
from k2lab.families import Family
from k2lab.families.special import END, THINK
from k2lab.repairs.arguments import object_of
from k2lab.repairs.records import Editor, Problem
from k2lab.wire.records import MARKER

LEAKED = "leaked_call_in_history"
BECOME = "rendered, they become real special tokens"
TAKE_OUT = f"take them out, or write them apart (as '{END.replace('<', '< ')}')"


def mend(editor: Editor, tools: Sequence[Mapping[str, object]]) -> None:
    """Lift leaked calls out of a content where the messages beside it say that they are calls.

    They do where ``tool_calls`` holds the same ones, or where results follow by
    the ids that were written and these go on with the count of the conversation.
    """
    earlier = 0
    for index, message in enumerate(editor.messages):
        first, earlier = earlier, earlier + len(message.get("tool_calls") or ())
        content = message.get("content")
        if message["role"] != "assistant" or not isinstance(content, str) or not MARKER.search(content):
            continue
        parsed = wire.parse(content, tools or None, strict=True, thinking=False)
        if parsed.stray or not parsed.calls or any(call.status != "ok" for call in parsed.calls):
            continue
        if message.get("tool_calls"):
            if _same(parsed.calls, message["tool_calls"]):
                editor.set(index, "content", parsed.content, "it repeats the calls that are in tool_calls", LEAKED)
        elif [call.index for call in parsed.calls] == list(range(first, first + len(parsed.calls))) and _answered(
            editor.messages, index, parsed.calls
        ):
            earlier += len(parsed.calls)
            calls = [_call(call) for call in parsed.calls]
            editor.set(index, "tool_calls", calls, "calls that the content holds", LEAKED)
            reason = "its calls are in tool_calls, and the results name them"
            editor.set(index, "content", parsed.content, reason, LEAKED)


def problems(messages: Sequence[Message], tools: Sequence[Mapping[str, object]], family: Family) -> Iterator[Problem]:
    """Each place with a marker in it; where texts are encoded apart, only an answer's own text can have leaked."""
    added = re.compile(family.added_tokens)
    own_text = re.compile(f"{added.pattern}|{MARKER.pattern}|{THINK}")
    for index, message in enumerate(messages):
        for path, text in _texts(message):
            own = message["role"] == "assistant" and path.startswith(("content", "reasoning_content"))
            if own or not family.encodes_apart:
                yield from _problem(index, f"messages[{index}].{path}", text, own_text if own else added, own=own)
    if not family.encodes_apart and _may_hold(tools, added):
        for path, text in _strings(list(tools), "tools"):
            yield from _problem(None, path, text, added, own=False)


def _may_hold(tools: Sequence[Mapping[str, object]], pattern: re.Pattern[str]) -> bool:
    """Whether a marker can stand in tools, which hardly ever one does: a marker has no letter that JSON escapes."""
    try:
        return pattern.search(json.dumps(tools, ensure_ascii=False)) is not None
    except (TypeError, ValueError, RecursionError):
        return True


def _problem(message: int | None, path: str, text: str, pattern: re.Pattern[str], *, own: bool) -> Iterator[Problem]:
    """The markers in one text; ``own`` where the model wrote it itself."""
    found = list(dict.fromkeys(match[0] for match in pattern.finditer(text)))
    named = ", ".join(found[:6]) + (", …" if len(found) > 6 else "")
    if own and MARKER.search(text):
        problem = f"an earlier answer leaked a call into its text ({named}); {BECOME}"
        yield Problem(
            message=message,
            path=path,
            problem=problem,
            fix="write the call into tool_calls and its result as a tool message",
            finding=LEAKED,
        )
    elif own and found and all(re.fullmatch(THINK, marker) for marker in found):
        problem = f"an earlier answer holds its reasoning in its text ({named})"
        fix = "write it into reasoning_content and the rest into content"
        yield Problem(message=message, path=path, problem=problem, fix=fix, finding="reasoning_in_content")
    elif found:
        problem = f"holds markers of the format ({named}); {BECOME}"
        yield Problem(message=message, path=path, problem=problem, fix=TAKE_OUT, finding="markers_in_text")


def _texts(message: Message) -> Iterator[tuple[str, str]]:
    """Path and text of everything in a message that a template prints."""
    for key in ("content", "reasoning_content", "name", "tool_call_id"):
        yield from _strings(message.get(key), key)
    for place, call in enumerate(message.get("tool_calls") or ()):
        function, path = call["function"], f"tool_calls[{place}].function"
        yield f"{path}.name", function["name"]
        yield f"{path}.arguments", _written(function.get("arguments"))


def _written(arguments: object) -> str:
    """Arguments as they are and as a server writes them anew: an escape hides a marker only until it is decoded."""
    value = object_of(arguments) if isinstance(arguments, str) else arguments
    text = arguments if isinstance(arguments, str) else ""
    return text if value is None else f"{text}\n{json.dumps(value, ensure_ascii=False)}"


def _strings(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Path and text of each string in JSON data, keys included; pictures' addresses are no text."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield path, str(key)
            if key not in ("image_url", "video_url", "source"):
                yield from _strings(inner, f"{path}.{key}")
    elif isinstance(value, Sequence):
        for place, inner in enumerate(value):
            yield from _strings(inner, f"{path}[{place}]")


def _same(calls: Sequence[wire.Call], given: Sequence[Mapping[str, object]]) -> bool:
    read = [ToolCall(name=call.name, arguments=call.arguments) for call in calls]
    return canonical(read) == canonical(map(ToolCall.of, given))


def _answered(messages: Sequence[Message], index: int, calls: Sequence[wire.Call]) -> bool:
    """Whether the tool messages that follow are results of exactly these calls, by the ids as written."""
    ids = []
    for message in messages[index + 1 :]:
        if message["role"] != "tool":
            break
        ids.append(message.get("tool_call_id"))
    return len(set(ids)) == len(ids) and set(ids) == {call.id for call in calls}


def _call(call: wire.Call) -> dict[str, object]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments_raw.strip()},
    }
