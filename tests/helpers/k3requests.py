"""Requests to a Kimi K3 at random: every shape that vLLM takes and its renderer writes, hostile texts among them."""

from __future__ import annotations

import json
import random
from typing import Any

from k2lab.chat import Request

TEXTS = (
    "", "Hello", "naïve café 😀 안녕", "a\n b\t", '"quoted" & <b>', "<|open|>message<|sep|>", "<|end_of_msg|>",
    "<|close|>",
    "[BOS]", "<|im_end|>", "  ", "x" * 60, "{}", "<|kimi_image_placeholder|>", "&amp;&quot;",
)  # fmt: skip
NAMES = ("get_weather", "search", "a-b", "f", "é", "q&a", 'say"hi"')
VALUES: tuple[Any, ...] = ("text", "", 7, 1.5, True, None, {"k": [1, "x"]}, [1, 2], '"', "<|sep|>", -0.0, 10**20)
ARGUMENTS = ("", "{}", "  ", '{"a": ', "[1]", "7", "null", '{"a": 1, "a": 2}', '{"é": "\\u00e9"}')


class Author:
    """Writes requests, each of its number alone."""

    def __init__(self, number: int) -> None:
        self.rng = random.Random(f"k3/{number}")

    def request(self) -> Request:
        """One request."""
        messages = [self._system()] if self.rng.random() < 0.3 else []
        for _ in range(self.rng.randint(1, 3)):
            messages += self._exchange()
        messages.append(self._said("user"))
        names = self.rng.sample(("get_weather", "search", "f"), self.rng.choice((0, 0, 1, 2, 3)))
        tools = [self._tool(name) for name in names]  # vLLM refuses a named choice of a name that stands twice
        return Request.of(messages, tools, self._parameters(tools))

    def _chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _text(self) -> str:
        return "".join(self.rng.choices(TEXTS, k=self.rng.randint(0, 3)))

    def _content(self) -> Any:
        parts = [{"type": "text", "text": self._text()} for _ in range(self.rng.randint(1, 3))]
        return parts if self._chance(0.25) else self._text()

    def _said(self, role: str) -> dict[str, Any]:
        named = {"name": self.rng.choice(NAMES)} if self._chance(0.15) else {}
        return {"role": role, "content": self._content(), **named}

    def _system(self) -> dict[str, Any]:
        further = {"tools": [self._tool("further")]} if self._chance(0.2) else {}
        return {**self._said(self.rng.choice(("system", "system", "developer"))), **further}

    def _exchange(self) -> list[dict[str, Any]]:
        answer = self._said("assistant")
        if self._chance(0.2):
            answer["content"] = None
        if self._chance(0.4):
            answer[self.rng.choice(("reasoning", "reasoning_content"))] = self._text()
        results = self._called(answer) if self._chance(0.6) else []
        return [self._said("user"), answer, *results]

    def _called(self, answer: dict[str, Any]) -> list[dict[str, Any]]:
        calls = [self._call(place) for place in range(self.rng.randint(1, 3))]
        answer["tool_calls"] = calls
        results = [self._result(call, place) for place, call in enumerate(calls)]
        self.rng.shuffle(results)
        return results[: self.rng.randint(0, len(results))] if self._chance(0.2) else results

    def _call(self, place: int) -> dict[str, Any]:
        arguments = self.rng.choice(ARGUMENTS)
        if self._chance(0.6):
            keys = self.rng.sample(("city", "n", "k&", 'q"', "é"), self.rng.randint(0, 3))
            arguments = json.dumps({key: self.rng.choice(VALUES) for key in keys}, ensure_ascii=self._chance(0.5))
        call_id = self.rng.choice((f"functions.f:{place}", f"call_{place}", "same"))
        return {
            "id": call_id,
            "type": "function",
            "function": {"name": self.rng.choice(NAMES), "arguments": arguments},
        }

    def _result(self, call: dict[str, Any], place: int) -> dict[str, Any]:
        alias = f"{call['function']['name']}:{place}"
        call_id = self.rng.choices((call["id"], alias, "unknown"), (8, 2, 1))[0]
        return {**self._said("tool"), "tool_call_id": call_id}

    def _tool(self, name: str) -> dict[str, Any]:
        function: dict[str, Any] = {"name": name}
        if self._chance(0.7):
            function["description"] = self._text()
        if self._chance(0.7):
            function["parameters"] = {"type": "object", "properties": {"é": {"type": "string", "description": "<&>"}}}
        if self._chance(0.1):
            function["strict"] = False
        return {"type": "function", "function": function}

    def _parameters(self, tools: list[Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if tools and self._chance(0.4):
            named = {"type": "function", "function": {"name": tools[0]["function"]["name"]}}
            made["tool_choice"] = self.rng.choice(("auto", "none", "required", named))
        if self._chance(0.15):
            schema = {"name": "s", "schema": {"type": "object", "properties": {"b": {"type": "string"}, "a": {}}}}
            made["response_format"] = self.rng.choice(
                ({"type": "json_object"}, {"type": "text"}, {"type": "json_schema", "json_schema": schema})
            )
        if self._chance(0.2):
            made["reasoning_effort"] = self.rng.choice(("none", "low", "high", "max"))
        if self._chance(0.3):
            made["chat_template_kwargs"] = self.rng.choice(
                ({"thinking": False}, {"enable_thinking": False}, {"thinking_effort": "low"}, {"thinking": True},
                 {"colour": "red"}, {"reasoning_effort": "high"}, {"thinking": False, "thinking_effort": "max"})
            )  # fmt: skip
        return made
