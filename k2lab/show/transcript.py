"""A transcript: who said what, calls with their arguments as a tree, results with the call that they answer."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from k2lab.chat import Answer, Exchange, Request, ToolCall, calls_of
from k2lab.chat.answers import REASONING_FIELDS
from k2lab.legible import one_line, shortened, visible
from k2lab.show.parts import View, escape, joined, table
from k2lab.show.trees import leaf, tree

LONGEST, SHORT = 200_000, 1500
"""Characters of a content, and of one that stands open."""

LONGEST_VALUE = 300
"""Characters of a request's parameter that stands open."""

LONGEST_RAW = 20_000
MOST_MESSAGES = 200
"""Messages of a transcript; of a longer one both ends are shown."""

TOLD = {"role", "content", "tool_calls", "tool_call_id", *REASONING_FIELDS}
"""Fields of a message that have their own place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Link:
    """Where a call or its result stands: the message, and the call's name."""

    message: int
    name: str | None


class _Talk:
    """A request with its calls and results joined by their ids."""

    def __init__(self, value: Request) -> None:
        self.messages = value.messages
        self.key = f"{zlib.crc32(repr(value.messages).encode('utf-8', 'backslashreplace')):08x}"
        self.calls: dict[str, list[_Link]] = {}
        self.results: dict[str, list[int]] = {}
        for place, message in enumerate(value.messages):
            for call in calls_of(message):
                self.calls.setdefault(repr(call.id), []).append(_Link(message=place, name=call.name))
            if "tool_call_id" in message:
                self.results.setdefault(repr(message["tool_call_id"]), []).append(place)

    def shown(self) -> View:
        """The messages, the first and the last of many."""
        places: list[int | None] = list(range(len(self.messages)))
        if len(places) > MOST_MESSAGES:
            half = MOST_MESSAGES // 2
            places[half:-half] = [None]
        left_out = f"⋮ {len(self.messages) - MOST_MESSAGES} messages are left out"
        return _stacked(*(_quiet(left_out) if place is None else self._message(place) for place in places))

    def _message(self, place: int) -> View:
        message = self.messages[place]
        answered = (
            self._answered(place, message) if message.get("role") == "tool" or "tool_call_id" in message else None
        )
        calls = [self._call(place, call) for call in calls_of(message)]
        rest = {name: value for name, value in message.items() if name not in TOLD}
        parts = [
            *([answered] if answered else []),
            *(_reasoning(message[name]) for name in REASONING_FIELDS if message.get(name)),
            *([] if calls and not message.get("content") and "content" not in message else [_content(message)]),
            *calls,
            *([_fold("other fields", tree(rest))] if rest else []),
        ]
        return _block(f"{place} {message.get('role')}", _stacked(*parts), f"k2-m-{self.key}-{place}")

    def _answered(self, place: int, message: Mapping[str, object]) -> View:
        """Which call a result is of: the last one before it that has its id."""
        said = message.get("tool_call_id")
        before = [link for link in self.calls.get(repr(said), ()) if link.message < place]
        if not before:
            return _warned(f"✗ answers no call: none before it has the id {leaf(said)}")
        link = before[-1]
        words = f"↩ result of {link.name} (message {link.message}), id {leaf(said)}"
        return View(html=f'<p><a href="#k2-m-{self.key}-{link.message}">{escape(words)}</a></p>', text=words)

    def _call(self, place: int, call: ToolCall) -> View:
        after = [found for found in self.results.get(repr(call.id), ()) if found > place]
        if after:
            words = f"↪ its result is message {after[0]}"
            result = View(html=f'<p><a href="#k2-m-{self.key}-{after[0]}">{escape(words)}</a></p>', text=words)
        else:
            result = _quiet("no message answers it")
        return call_view(call, result)


def request_view(value: Request, caption: str = "") -> View:
    """A request: its messages as a transcript, the tools on offer, its other fields."""
    counted = {"message": value.messages, "tool": value.tools}
    count = ", ".join(f"{len(held)} {what}{'s' * (len(held) != 1)}" for what, held in counted.items())
    head = _quiet(": ".join(filter(None, (caption, count))))
    tools = [_tool(tool) for tool in value.tools[:MOST_MESSAGES]]
    names = ", ".join(value.tool_names()) or "none"
    offered = [_fold(f"tools on offer: {one_line(names, 300)}", _stacked(*tools))] if tools else []
    rest = _parameters(value.parameters) if value.parameters else []
    return _stacked(head, _Talk(value).shown(), *offered, *rest)


def _parameters(held: Mapping[str, object]) -> list[View]:
    """A table of them; one that is long, as a whole template, is folded under it."""
    written = {name: leaf(value) for name, value in held.items()}
    short = [{"parameter": name, "value": said} for name, said in written.items() if len(said) <= LONGEST_VALUE]
    folded = [
        _raw(f"{one_line(name, 60)}: {len(said)} characters", value if isinstance(value := held[name], str) else said)
        for name, said in written.items()
        if len(said) > LONGEST_VALUE
    ]
    return [*([table(short)] if short else []), *folded]


def answer_view(value: Answer, caption: str = "") -> View:
    """One answer: why it ended, what it reasoned, said and called, and the response as it came."""
    told = {
        "finish_reason": value.finish_reason,
        "completion tokens": value.usage.get("completion_tokens", "not given"),
    }
    more = {
        "ms": None if value.latency_ms is None else f"{value.latency_ms:.0f}",
        "refusal": value.refusal,
        "function_call": "in use" if value.function_call else "",
    }
    facts = [{"": name, "value": said} for name, said in {**told, **{k: v for k, v in more.items() if v}}.items()]
    parts = [
        table(facts),
        *(_reasoning(said) for said in value.reasoning),
        _content({"content": value.content}),
        *(call_view(call) for call in value.calls),
        *([_raw("the response as it came", _whole(value.raw))] if value.raw else []),
    ]
    return _block(caption or "answer", _stacked(*parts))


def exchange_view(value: Exchange) -> View:
    """A request, and under it its answer."""
    return joined(request_view(value.request, "request"), answer_view(value.answer, "answer"))


def call_view(call: ToolCall, *under: View) -> View:
    """A call: its arguments as a tree beside their raw text, or as they are where they are no JSON object."""
    raw = call.arguments if isinstance(call.arguments, str) else leaf(call.arguments)
    title = f"→ {one_line(f'{call.name}({raw})', 300)}"
    facts = _quiet(f"id {leaf(call.id)}")
    if call.problem:
        shown = _stacked(_warned(f"✗ the arguments are no JSON: {one_line(call.problem, 300)}"), _pre(raw))
    else:
        odd = [] if isinstance(call.value, Mapping) else [_warned("✗ the arguments are no JSON object")]
        shown = _stacked(*odd, tree(call.value), _raw("raw arguments", raw))
    body = _stacked(facts, shown, *under)
    return View(
        html=f'<details open class="k2-call"><summary>{escape(title)}</summary>{body.html}</details>',
        text=f"{title}\n{_indented(body.text)}",
    )


def _whole(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, indent=1)
    except (TypeError, ValueError, RecursionError):
        return leaf(value)


def _tool(tool: Mapping[str, object]) -> View:
    function = tool.get("function")
    held = function if isinstance(function, Mapping) else tool
    title = f"{held.get('name')}: {held.get('description') or 'no description'}"
    rest = {name: value for name, value in held.items() if name not in ("name", "description")}
    return _fold(one_line(title, 300), tree(rest))


def _content(message: Mapping[str, object]) -> View:
    """What a message says, and in words where it says nothing."""
    if "content" not in message:
        return _quiet("no content")
    said = message["content"]
    if said is None:
        return _quiet("content: null")
    if said == "":
        return _quiet("content: '' (an empty text)")
    if isinstance(said, str):
        return _text(said)
    if not isinstance(said, list | tuple) or not said:
        return _stacked(_quiet("content is no text"), _pre(leaf(said)))
    parts = [_text(part["text"]) if _is_text(part) else tree(part) for part in said[:MOST_MESSAGES]]
    return _stacked(_quiet(f"content in {len(said)} parts"), *parts)


def _is_text(part: object) -> bool:
    return (
        isinstance(part, Mapping)
        and part.get("type") == "text"
        and isinstance(part.get("text"), str)
        and len(part) == 2
    )


def _text(said: str) -> View:
    body = _pre(said)
    if len(said) <= SHORT:
        return body
    head, tail = one_line(said[:60]), one_line(said[-60:])
    title = f"content of {len(said)} characters “{head} … {tail}”"
    return _fold(title, body)


def _reasoning(said: object) -> View:
    text = said if isinstance(said, str) else leaf(said)
    return _fold(f"reasoning of {len(text)} characters", _pre(text))


def _raw(title: str, said: str) -> View:
    return _fold(title, _pre(shortened(said, LONGEST_RAW)))


def _pre(said: str) -> View:
    said = visible(shortened(said, LONGEST))
    return View(html=f"<pre>{escape(said)}</pre>", text=said)


def _fold(title: str, body: View) -> View:
    return View(
        html=f"<details><summary>{escape(title)}</summary>{body.html}</details>",
        text=f"{title}\n{_indented(body.text)}",
    )


def _quiet(said: str) -> View:
    return View(html=f'<p class="quiet">{escape(said)}</p>', text=said)


def _warned(said: str) -> View:
    return View(html=f'<p class="k2-bad">{escape(said)}</p>', text=said)


def _block(title: str, body: View, anchor: str = "") -> View:
    title = one_line(title, 100)
    start = f'<div class="k2-message" id="{anchor}">' if anchor else '<div class="k2-message">'
    return View(
        html=f'{start}<p class="k2-band">{escape(title)}</p>{body.html}</div>',
        text=f"── {title}\n{_indented(body.text)}",
    )


def _stacked(*parts: View) -> View:
    return View(html="".join(part.html for part in parts), text="\n".join(part.text for part in parts))


def _indented(text: str) -> str:
    return "  " + text.replace("\n", "\n  ") if text else ""
