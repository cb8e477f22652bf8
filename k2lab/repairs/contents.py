"""Roles and contents: text parts as one string, empty contents as null, images in the chat API's form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from k2lab.chat import Message
from k2lab.families import Family
from k2lab.repairs.blocks import kind_of
from k2lab.repairs.records import Editor, Problem

SYSTEM_ROLES = {
    "_input": "K2-Vendor-Verifier's name for the system role",
    "developer": "OpenAI's name for the system role; Kimi's templates print it as it is",
}
PICTURES = frozenset({"image", "image_url", "video", "video_url"})
"""Types of parts that Kimi's templates print as a place for a picture."""
HINTS = {
    "tool_use": "name the tool and give an object as input",
    "tool_result": "give it the tool_use_id of its call and a text that says what the tool answered",
    "thinking": "keep either the block or reasoning_content, as text",
    "redacted_thinking": "take it out: it is encrypted for another vendor's model",
}


def mend(editor: Editor) -> None:
    """One form for what has several: roles, text, images and empty contents."""
    for index, message in enumerate(editor.messages):
        if message["role"] in SYSTEM_ROLES:
            editor.set(index, "role", "system", SYSTEM_ROLES[message["role"]], "role_of_another_api")
        before = message.get("content")
        after, reason = _content(before)
        finding = "text_in_parts"
        if after == "" and message.get("tool_calls"):
            after, reason = None, "empty content made null"
            finding = "empty_content_beside_calls" if before == "" else finding
        if reason and after != before:
            editor.set(index, "content", after, reason, finding)


def problems(messages: Sequence[Message], family: Family) -> Iterator[Problem]:
    """Parts that a template does not print or the model cannot see, and messages with nothing in them."""
    for index, message in enumerate(messages):
        content = message.get("content")
        for place, part in enumerate(content if isinstance(content, list) else ()):
            fault = _part_fault(part, family)
            if fault:
                path, finding = f"messages[{index}].content[{place}]", _finding(part)
                yield Problem(message=index, path=path, problem=fault[0], fix=fault[1], finding=finding)
        if message["role"] == "assistant" and not content and not message.get("tool_calls"):
            problem = "an assistant message without text and without a call: Moonshot's API answers 400 to it"
            yield Problem(
                message=index,
                path=f"messages[{index}].content",
                problem=problem,
                fix="take the message out",
                finding="empty_assistant_message",
            )
        if message.get("function_call"):
            problem = "function_call, an older form that templates do not print: it vanishes from the prompt"
            yield Problem(
                message=index,
                path=f"messages[{index}].function_call",
                problem=problem,
                fix="write the call into tool_calls",
                finding="old_function_call",
            )


def _finding(part: object) -> str:
    return "blocks_of_another_api" if kind_of(part) in HINTS else "part_not_printed"


def _content(content: object) -> tuple[object, str]:
    if not isinstance(content, list):
        return content, ""
    texts = [_text(part) for part in content]
    if None not in texts:
        return "".join(text or "" for text in texts), "text parts joined"
    return [_picture(part) for part in content], "pictures in the chat API's form"


def _text(part: object) -> str | None:
    """The text of a part that is text: of the chat API, the Responses API, or a bare string."""
    if isinstance(part, str):
        return part
    if kind_of(part) in ("text", "input_text", "output_text"):
        text = part["text"] if isinstance(part, Mapping) and "text" in part else None
        return text if isinstance(text, str) else None
    return None


def _picture(part: object) -> object:
    """Anthropic's image as an ``image_url``; any other part as it is."""
    source = part.get("source") if isinstance(part, Mapping) and kind_of(part) == "image" else None
    if not isinstance(source, Mapping):
        return part
    url = source.get("url")
    if source.get("type") == "base64" and isinstance(source.get("data"), str):
        url = f"data:{source.get('media_type', 'image/png')};base64,{source['data']}"
    return {"type": "image_url", "image_url": {"url": url}} if isinstance(url, str) else part


def _part_fault(part: object, family: Family) -> tuple[str, str] | None:
    kind = kind_of(part)
    if _text(part) is not None:
        return None
    if kind in PICTURES:
        if family.reads_pictures:
            return None
        return (
            f"a part of type {kind}: {family.name} reads text alone",
            "take it out, or name a model that sees (--model)",
        )
    hint = HINTS.get(kind or "", "write it as a text part, or take it out")
    named = f"of type {kind}" if kind else "without a type"
    return f"a part {named}, which Kimi's templates do not print: it vanishes from the prompt", hint
