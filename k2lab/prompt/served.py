"""What a server makes of a request before its template sees it: contents as lists of parts, arguments as objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from k2lab.chat import Request, decoded
from k2lab.errors import InputError
from k2lab.families import Family
from k2lab.prompt.xtmlturns import IMAGE


def as_served(request: Request) -> Request:
    """The request as vLLM hands it to a template that it takes for one of lists of parts.

    Each content that is a text becomes a list of one part, an empty one too, and
    arguments of earlier calls are decoded. vLLM 0.11.0 does both to every message
    (its ``chat_utils.py``: the detected content format, and ``_postprocess_messages``).

    >>> from k2lab.chat import Request
    >>> as_served(Request.of([{"role": "user", "content": "Hello"}])).messages[0]["content"]
    [{'type': 'text', 'text': 'Hello'}]
    """
    handed = with_decoded_arguments(request)
    return replace(handed, messages=tuple(_in_parts(message) for message in handed.messages))


def with_decoded_arguments(request: Request) -> Request:
    """The arguments of earlier calls as objects, which a template prints as JSON of its own."""
    messages = request.to_json()["messages"]
    for message in messages:
        for call in message.get("tool_calls") or ():
            value, problem = decoded(call["function"].get("arguments"))
            if not problem:
                call["function"]["arguments"] = value
    return request.with_messages(messages)


def _in_parts(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    return {**message, "content": [{"type": "text", "text": content}]} if isinstance(content, str) else dict(message)


BILLING = "x-anthropic-billing-header"
"""A line of a system text that vLLM 0.32.0 takes out, where the text begins with it."""

PICTURES = ("image_url", "input_image", "image_pil", "image_embeds")
TEXT_PARTS = ("text", "input_text", "output_text", "refusal", "thinking")
TOOL_FIELDS = ("name", "description", "parameters", "strict", "defer_loading")


SHAPING = ("tool_choice", "response_format")
"""Fields of a request that are a part of a prompt in XTML, and of no other."""

NOT_TOKENIZED = (*SHAPING, "reasoning_effort", "documents", "thinking")
"""Fields that shape a prompt on one server or another, and that vLLM's ``/tokenize`` does not read."""


def shaping(request: Request, family: Family | None) -> dict[str, object]:
    """The fields of a request that shape a prompt of this family, beside those of every family."""
    names = SHAPING if family is not None and family.renders == "xtml" else ()
    return {name: request.parameters[name] for name in names if name in request.parameters}


def says_something(value: object) -> bool:
    """Whether a field of a request says more than leaving it out does."""
    return value not in (None, "auto", {"type": "text"})


def for_xtml(request: Request) -> Request:
    r"""The request as vLLM 0.32.0 hands it to the renderer of a Kimi K3, which then knows no more of it.

    Parts of a content are joined by newlines, empty ones left out; arguments that
    are no JSON object become ``{}``; results are sorted to their calls, which
    ``NAME:POSITION`` names as well; further ``tools`` of a system message are
    gone; of a tool its known fields are kept, a description and parameters that
    it lacks as ``null``. Pictures are placeholders before the texts of their
    message, wherever they stood; the server sets tokens of media in their place,
    which are not made here. Raises :class:`InputError` for a text that has more
    placeholders than there are pictures, as vLLM refuses it. Source:
    ``renderers/chat_utils.py``, ``renderers/kimi_k3.py`` and the request's own
    types in vLLM 0.32.0.

    >>> from k2lab.chat import Request
    >>> parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    >>> for_xtml(Request.of([{"role": "user", "content": parts}])).messages[0]["content"]
    'a\nb'
    """
    messages = [_handed(message) for message in request.to_json()["messages"]]
    tools = tuple(_dumped(tool) for tool in request.to_json()["tools"])
    return Request.of(_with_results_in_order(messages), tools, request.parameters)


def _handed(message: dict[str, Any]) -> dict[str, Any]:
    role, reasoning = message["role"], message.pop("reasoning_content", None)
    if message.get("reasoning") is None:
        message["reasoning"] = reasoning
    made = {"role": role, "content": _joined(message.get("content"), role)}
    if role == "assistant":
        calls = [_with_object(call) for call in message.get("tool_calls") or ()]
        made |= {"tool_calls": calls} if calls else {}
        if message["reasoning"] is not None:
            made |= {"reasoning": message["reasoning"], "reasoning_content": message["reasoning"]}
    if role == "tool" and "tool_call_id" in message:
        made["tool_call_id"] = message["tool_call_id"]
    if isinstance(message.get("name"), str):
        made["name"] = message["name"]
    return made


def _joined(content: Any, role: str) -> Any:
    if isinstance(content, str) or content is None:
        content = [content or ""]
    pictures = sum(map(_is_picture, content))
    rest = [part for part in content if not _is_picture(part)]
    texts = [part if isinstance(part, str) else part.get(_text_key(part)) for part in rest]
    if None in texts and any(isinstance(part, Mapping) and part.get("type") not in TEXT_PARTS for part in rest):
        return content
    kept = [text for text in texts if text]
    return _beside(pictures, "\n".join(_without_billing(kept) if role == "system" else kept))


def _is_picture(part: Any) -> bool:
    if not isinstance(part, Mapping):
        return False
    return part.get("type") in PICTURES or (part.get("type") is None and "image_url" in part)


def _beside(pictures: int, text: str) -> str:
    """A text behind the placeholders of its pictures, but for those that it has itself."""
    missing = pictures - text.count(IMAGE) if pictures else 0
    if missing < 0:
        raise InputError(f"a text has more placeholders {IMAGE} than the {pictures} pictures beside it: take them out")
    return "\n".join([*[IMAGE] * missing, *([text] if text or not missing else [])])


def _text_key(part: Mapping[str, Any]) -> str:
    kind = part.get("type")
    return "text" if kind not in ("refusal", "thinking") else str(kind)


def _without_billing(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        rest = text.partition("\n")[2] if text.startswith(BILLING) else text
        if rest:
            yield rest


def _with_object(call: dict[str, Any]) -> dict[str, Any]:
    value, problem = decoded(call["function"].get("arguments"))
    function = {**call["function"], "arguments": value if not problem and isinstance(value, dict) else {}}
    return {**call, "function": function}


def _with_results_in_order(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    run: list[dict[str, Any]] = []
    places: dict[str, tuple[int, str]] = {}
    for message in [*messages, {"role": ""}]:
        if message["role"] == "tool":
            run.append(message)
            continue
        made += _sorted_run(run, places)
        run = []
        places = _places(message.get("tool_calls") or ())
        made.append(message)
    return made[:-1]


def _sorted_run(run: list[dict[str, Any]], places: Mapping[str, tuple[int, str]]) -> list[dict[str, Any]]:
    found = [places.get(str(one.get("tool_call_id"))) if one.get("tool_call_id") is not None else None for one in run]
    if not run or None in found:
        return run
    named = [({**one, "tool": at[1], "index": at[0] + 1}, at[0]) for one, at in zip(run, found, strict=True) if at]
    return [one for one, _ in sorted(named, key=lambda item: item[1])]


def _places(calls: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, str]]:
    """Where the calls of the message before are, by their ids and by ``NAME:POSITION``; the first counts."""
    places: dict[str, tuple[int, str]] = {}
    for place, call in enumerate(calls):
        name = call["function"]["name"]
        for alias in (*([str(call["id"])] if call.get("id") else ()), f"{name}:{place}"):
            places.setdefault(alias, (place, name))
    return places


def _dumped(tool: Mapping[str, Any]) -> dict[str, Any]:
    given = {"description": None, "parameters": None, **tool["function"]}
    function = {name: given[name] for name in TOOL_FIELDS if given.get(name) is not None or name in TOOL_FIELDS[1:3]}
    return {"type": tool.get("type", "function"), "function": function}
