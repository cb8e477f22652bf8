"""A chat answer as a stream of events, and a stream put together again, as the openai client does it."""

import json
from itertools import pairwise


def events(answer, cuts=(), *, ending="\n\n", extra=()):
    """The bytes of a stream of a whole answer: each text in pieces that end at ``cuts``, then the end, then [DONE]."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "kimi-k2"}
    out = []
    for choice in answer["choices"]:
        index, message = choice["index"], choice["message"]
        deltas = [{"role": "assistant", "content": ""}]
        for name in ("reasoning_content", "reasoning", "content"):
            deltas += [{name: part} for part in pieces(message.get(name) or "", cuts)]
        for place, call in enumerate(message.get("tool_calls") or []):
            deltas.append({"tool_calls": [{"index": place, **call}]})
        out += [
            {**base, "choices": [{"index": index, "delta": d, "logprobs": None, "finish_reason": None}]} for d in deltas
        ]
        last = {"index": index, "delta": {"content": ""}, "logprobs": None, "finish_reason": choice["finish_reason"]}
        out.append({**base, "choices": [last]})
    out.append({**base, "choices": [], "usage": {"total_tokens": 3}})
    texts = [*extra, *(f"data: {json.dumps(value, ensure_ascii=False)}" for value in out), "data: [DONE]"]
    return "".join(text.replace("\n", ending[: len(ending) // 2]) + ending for text in texts).encode()


def pieces(text, cuts):
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    return [text[begin:end] for begin, end in pairwise(places)]


def put_together(stream):
    """The choices of a stream, by index: texts, calls and how each ended; and the lines that are comments."""
    made, comments = {}, []
    for line in stream.decode().replace("\r\n", "\n").split("\n"):
        if line.startswith(":"):
            comments.append(line)
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        for choice in json.loads(line[6:]).get("choices", []):
            one = made.setdefault(
                choice["index"], {"content": "", "reasoning": "", "tool_calls": [], "finish_reason": None}
            )
            delta = choice["delta"]
            one["content"] += delta.get("content") or ""
            one["reasoning"] += delta.get("reasoning_content") or delta.get("reasoning") or ""
            for call in delta.get("tool_calls") or []:
                assert call["index"] == len(one["tool_calls"])
                one["tool_calls"].append({key: call[key] for key in ("id", "type", "function")})
            one["finish_reason"] = choice["finish_reason"] or one["finish_reason"]
    return made, comments


def plain(answer):
    """The choices of a whole answer in the same form."""
    return {
        choice["index"]: {
            "content": choice["message"].get("content") or "",
            "reasoning": choice["message"].get("reasoning_content") or choice["message"].get("reasoning") or "",
            "tool_calls": choice["message"].get("tool_calls") or [],
            "finish_reason": choice["finish_reason"],
        }
        for choice in answer["choices"]
    }
