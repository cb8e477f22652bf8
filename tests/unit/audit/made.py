"""Exchanges for an audit: what an answer can have wrong, and the same exchange in every form that people keep."""

import copy
import json

TOOL = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "The time in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"id": "functions.now:0", "type": "function", "function": {"name": "now", "arguments": '{"city": "Rome"}'}}


def request(number=0, model="kimi-k2-0905-preview"):
    messages = [{"role": "user", "content": f"What time is it in Rome, question {number}?"}]
    return {"model": model, "messages": messages, "tools": [copy.deepcopy(TOOL)]}  # a test may change what it was given


def answer(content=None, calls=(CALL,), reason="tool_calls"):
    message = {"role": "assistant", "content": content, "tool_calls": list(calls)}
    return {"id": "c", "created": 1795694400, "choices": [{"index": 0, "finish_reason": reason, "message": message}]}


def called(arguments):
    return {**CALL, "function": {"name": "now", "arguments": arguments}}


ANSWERS = {
    "clean": answer(),
    "A003": answer(calls=[called('{"city": ')]),
    "A005": answer(calls=[called('{"city": 5}')]),
    "A101": answer(content="It is noon.", calls=(), reason=None),
    "A111": answer(content="", calls=(), reason="stop"),
    "S006": {"error": {"message": "overloaded"}},
}
"""By the finding that k2lab check has for it."""


def line(number, kind="clean", day=26, model="kimi-k2-0905-preview", vendor="a.example"):
    return {
        "data_index": number,
        "request": request(number, model),
        "response": copy.deepcopy(ANSWERS[kind]),
        "status": "success",
        "provider": vendor,
        "last_run_at": f"2026-11-{day:02d}T12:00:{number % 60:02d}Z",
    }


def lines(count):
    """Exchanges of two models at two vendors over five days, a fault in two of three."""
    kinds = list(ANSWERS)
    models, vendors = ("kimi-k2-0905-preview", "kimi-k2.5"), ("a.example", "b.example")
    return [line(n, kinds[n % len(kinds)], 20 + n % 5, models[n % 7 == 0], vendors[n % 11 == 0]) for n in range(count)]


def text(values):
    return "".join(json.dumps(value) + "\n" for value in values)


def write(path, values):
    path.write_text(text(values))
    return path
