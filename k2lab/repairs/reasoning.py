"""Reasoning of earlier turns: under the name that Kimi's templates and API read, and there where they need it.

Read from the templates that Moonshot published: K2-Thinking and K2.5 print the
reasoning of the turns after the last one without calls, K2.6 too unless
``preserve_thinking`` keeps all, K2.7-Code that of every turn; where it is
missing they print ``<think></think>``. Moonshot's API answers 400 to a call
without it ("reasoning_content is missing in assistant tool call message").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from k2lab.chat import Message, Request
from k2lab.families import Family
from k2lab.repairs.records import Editor, Problem

NAMES = ("reasoning", "thinking", "reasoning_details")
"""Other fields that clients keep reasoning in: vLLM's and OpenRouter's, Ollama's, OpenRouter's list."""
RENAMED, INLINED = "reasoning_under_another_name", "reasoning_in_content"
INLINE = re.compile(r"\s*<think>(?P<reasoning>.*?)</think>(?P<content>.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How a model is asked: its family, whether it thinks, and whether earlier reasoning is kept."""

    family: Family
    thinking: bool = True
    preserve: bool = False

    @property
    def keeps_all(self) -> bool:
        """Whether every turn's reasoning is printed."""
        return self.family.replays == "all" or (self.family.replays == "unanswered or all" and self.preserve)

    @property
    def prints(self) -> bool:
        """Whether the prompt holds the reasoning of earlier turns."""
        return self.family.replays != "none" and (self.family.always_thinks or self.thinking)


def mode_of(request: Request, family: Family) -> Mode:
    """How a request asks a model of that family."""
    asked = request.parameters.get("thinking")
    api = asked if isinstance(asked, dict) else {}
    kwargs = request.template_kwargs
    levels = (request.parameters.get("reasoning_effort"), kwargs.get("reasoning_effort")) if family.efforts else ()
    switches = (kwargs.get("thinking"), kwargs.get("enable_thinking") if family.efforts else None)
    return Mode(
        family=family,
        thinking=not (any(one is False for one in switches) or api.get("type") == "disabled" or "none" in levels),
        preserve=kwargs.get("preserve_thinking") is True or api.get("keep") == "all",
    )


def missing(request: Request, family: Family) -> tuple[Problem, ...]:
    """The problems of reasoning that has no other name in a request: none where the family's prompts hold none."""
    return () if family.replays == "none" else tuple(problems(request.messages, mode_of(request, family)))


def mend(editor: Editor, family: Family) -> None:
    """Reasoning under another name, or within the content, goes to ``reasoning_content``."""
    if not family.reads_reasoning:
        return
    for index, message in enumerate(editor.messages):
        if message["role"] != "assistant":
            continue
        for name in ("reasoning_content", *NAMES):
            if name in message and message[name] is None:
                editor.drop(index, name, "null, which a template prints as None", RENAMED)
        _rename(editor, index, message)
        _lift_inline(editor, index, message)


def problems(messages: Sequence[Message], mode: Mode) -> Iterator[Problem]:
    """Turns whose reasoning the prompt holds and that have none; reasoning that differs under two names."""
    printed = _printed(messages, mode) if mode.prints and mode.family.needs_replay else range(0)
    for index, message in enumerate(messages):
        if message["role"] != "assistant" or not mode.family.reads_reasoning:
            continue
        path, given = f"messages[{index}].reasoning_content", message.get("reasoning_content")
        others = [name for name in NAMES if name in message]
        if others and (given is None or any(_text(message[name]) != given for name in others)):
            problem = f"reasoning under {' and '.join([*others, *(['reasoning_content'] if given else [])])}"
            yield Problem(
                message=index,
                path=path,
                problem=f"{problem} is not one text",
                fix="keep what the model wrote as reasoning_content",
                finding=RENAMED,
            )
        elif index in printed and not given:
            what = "calling turn" if message.get("tool_calls") else "turn"
            problem = f"this {what} has no reasoning, and {mode.family.name} was trained to find it there"
            yield Problem(
                message=index,
                path=path,
                problem=problem,
                fix="send back the reasoning_content that the model gave with this turn",
                finding="reasoning_missing",
            )


def unsure(messages: Sequence[Message], mode: Mode) -> Iterator[Problem]:
    """Turns that may have lost their reasoning: the prompt has a place for it, and the model may have given none."""
    if not mode.prints or mode.family.needs_replay:
        return
    for index in _printed(messages, mode):
        message = messages[index]
        given = any(message.get(name) for name in ("reasoning_content", *NAMES))
        if message["role"] == "assistant" and not given:
            yield Problem(
                message=index,
                path=f"messages[{index}].reasoning_content",
                problem="this turn has no reasoning: the model gave none, or it was dropped on the way",
                fix="send back the reasoning_content of a turn that came with some",
                finding="reasoning_missing",
            )


def _printed(messages: Sequence[Message], mode: Mode) -> range:
    """The messages whose reasoning a template prints."""
    if mode.keeps_all:
        return range(len(messages))
    answers = [i for i, m in enumerate(messages) if m["role"] == "assistant" and not m.get("tool_calls")]
    return range(max(answers, default=-1) + 1, len(messages))


def _rename(editor: Editor, index: int, message: Message) -> None:
    texts = {name: _text(message[name]) for name in NAMES if name in message}
    given = message.get("reasoning_content")
    if not texts or None in texts.values() or len({*texts.values(), given or texts[next(iter(texts))]}) != 1:
        return
    reasoning = next(iter(texts.values()))
    if given != reasoning:
        editor.set(index, "reasoning_content", reasoning, f"from {' and '.join(texts)}", RENAMED)
    for name in texts:
        editor.drop(index, name, "it is in reasoning_content", RENAMED)


def _lift_inline(editor: Editor, index: int, message: Message) -> None:
    """Reasoning that a server without a reasoning parser left in the content."""
    content = message.get("content")
    match = INLINE.fullmatch(content) if isinstance(content, str) else None
    if match is None or "think>" in match["content"] + match["reasoning"]:
        return
    if (message.get("reasoning_content") or match["reasoning"]) != match["reasoning"]:
        return
    if message.get("reasoning_content") != match["reasoning"]:
        editor.set(index, "reasoning_content", match["reasoning"], "the content began with it", INLINED)
    rest = match["content"] or (None if message.get("tool_calls") else "")
    editor.set(index, "content", rest, "its reasoning is in reasoning_content", INLINED)


def _text(value: object) -> str | None:
    """Reasoning as text: a string, or a list of details that are all text."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        return None
    texts = [part.get("text") if isinstance(part, Mapping) else None for part in value]
    return "".join(map(str, texts)) if all(isinstance(text, str) for text in texts) else None
