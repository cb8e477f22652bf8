"""What a text is that is no raw output: an answer, a stream, a request, a prompt, or another model's output."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from k2lab.families.special import TURN_MARKER

HEADERS = re.compile(r"HTTP/[^\n]*\n(?:[^\r\n]+\r?\n)*+\s*+")
"""What curl -i prints before an answer."""
BROKEN_ANSWER = re.compile(
    r"""\{.{0,4000}?["'](?:choices["']\s*:\s*\[|object["']\s*:\s*["']chat\.completion)""", re.DOTALL
)
SSE = re.compile(r"(?:\s*+(?::[^\n]*|event:[^\n]*|id:[^\n]*|retry:[^\n]*|data:\s*\[DONE\]\s*)\n)*+\s*+data:\s*+\{")
XTML_TURN = re.compile(r'<\|open\|>message role="(?P<role>(?P<who>user|system|tool))"')
"""The header of a message of K3's prompts that is not the assistant's."""

RAW = "a raw output is the text itself, as /completions gives it in choices[0].text"
ANSWER = (
    "a chat answer in JSON, whose calls the server's own parser has read: k2lab check looks at one;"
    " where its content holds the calls as text, pipe that: jq -r '.choices[0].message.content' FILE | k2lab parse"
)
MESSAGE = "a message in JSON: pipe its text: jq -r .content FILE | k2lab parse"


def foreign_form(text: str) -> str | None:
    """What a text is, in one line with what reads it, where it is clearly no raw output of Kimi's; else ``None``."""
    text = text.removeprefix("\ufeff")
    headers = HEADERS.match(text)
    text = text[headers.end() :] if headers else text
    if SSE.match(text):
        return (
            "a captured stream (server-sent events): k2lab check looks at one; or join the choices[0].delta.content"
            f" of its events and pipe that; {RAW}"
        )
    turn = TURN_MARKER.match(text.lstrip()[:256]) or XTML_TURN.match(text.lstrip()[:256])
    if turn and turn["who"] in ("user", "system", "tool"):
        role = turn["role"] or turn["who"]
        return f"a rendered prompt, which begins with a turn for {role}: pipe the output alone, without its prompt"
    if text.lstrip().startswith("ChatCompletion("):
        return f"an answer as Python prints it: print choices[0].message.content instead; {RAW}"
    if text.lstrip()[:1] in ("{", "[", '"'):
        return _json_form(text)
    return None


def _json_form(text: str) -> str | None:
    values = _values(text)
    if not values and BROKEN_ANSWER.match(text.lstrip()):
        return f"a chat answer that is cut or not JSON, such as Python prints: save the answer as JSON; {RAW}"
    if not values:
        return None
    first = values[0]
    if isinstance(first, list) and first:
        return _list_form(first)
    if isinstance(first, str) and len(values) == 1:
        return f"a JSON string: decode it first (jq -r . FILE); {RAW}"
    return _object_form(first, several=len(values) > 1) if isinstance(first, Mapping) else None


def _values(text: str) -> list[object]:
    """The JSON value that a text is, or the values of its first two lines; none where it is no JSON."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    lines = [line for line in text[: 1 << 20].split("\n") if line.strip()][:2]
    try:
        return [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        return []


def _list_form(values: list[object]) -> str | None:
    first = values[0]
    if all(type(value) is int for value in values):
        return "a list of token ids: decode them first, or read them with wire.parse_ids in Python"
    if isinstance(first, Mapping) and "role" in first:
        return 'a list of messages: k2lab repair and k2lab render read {"messages": [...]}'
    if isinstance(first, Mapping) and isinstance(first.get("function"), Mapping):
        return "a list of tools or of calls: tools go to --tools, or to k2lab check"
    return _object_form(first, several=True) if isinstance(first, Mapping) else None


def _object_form(data: Mapping[str, object], *, several: bool) -> str | None:
    kind = str(data.get("object", ""))
    if {"data_index", "response"} <= set(data) or ({"request", "response"} <= set(data)):
        return "results of K2-Vendor-Verifier: k2lab check and k2lab bench import read them"
    if isinstance(data.get("response"), Mapping) and "custom_id" in data:
        return f"answers of a batch: k2lab check looks at them; {RAW}"
    if isinstance(data.get("messages"), list) or "tool_choice" in data:
        return "a request or a conversation, which is sent, not answered: k2lab check, repair and render read it"
    if kind.endswith(".chunk") and not several:
        return f"one event of a stream: no command reads one; join the events' content; {RAW}"
    if kind.endswith(".chunk"):
        return f"the events of a stream: no command reads them; join the choices[0].delta.content and pipe that; {RAW}"
    if "choices" in data or kind.startswith(("chat.completion", "text_completion")):
        return _answer_form(data)
    if isinstance(data.get("error"), Mapping | str) or kind == "error":
        return "a server's error: there is no output to read in it"
    if kind == "response" or data.get("type") == "message":
        return f"an answer of another API (OpenAI's Responses, Anthropic's Messages): k2lab check looks at it; {RAW}"
    if isinstance(data.get("role"), str) and ({"content", "tool_calls"} & set(data)):
        return MESSAGE
    return None


def _answer_form(data: Mapping[str, object]) -> str:
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices:
        return "a chat answer in JSON without choices: there is no output to read in it"
    first = choices[0]
    if isinstance(first, Mapping) and isinstance(first.get("text"), str):
        return "an answer of /completions in JSON: pipe its text: jq -r '.choices[0].text' FILE | k2lab parse"
    return ANSWER
