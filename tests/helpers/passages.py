"""Exchanges as they pass a proxy, made here, and records of them."""

import itertools
import json

from k2lab.chat import Exchange
from k2lab.findings.exchanges import of_exchange
from k2lab.findings.histories import of_history
from k2lab.traffic.exchanges import Changed, Passed
from k2lab.traffic.recordfile import writing
from k2lab.traffic.recordrows import Entry, Noted

TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
CALL = {"id": "call_abc", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
FOREIGN = [
    {"role": "user", "content": "Weather in Oslo?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_abc", "content": "sunny"},
    {"role": "user", "content": "And in Rome?"},
]
LEAKED = (
    "<|tool_calls_section_begin|><|tool_call_begin|>get_weather:1<|tool_call_argument_begin|>{}<|tool_call_end|>"
    "<|tool_calls_section_end|>"
)
NUMBERS = itertools.count()


def passed(messages=(), content="Hello.", *, model="m", tools=TOOLS, **fields):
    """A chat that passed; ``fields`` are those of :class:`Passed`."""
    number = next(NUMBERS)
    asked = {"model": model, "messages": list(messages) or [{"role": "user", "content": "Hi"}], "tools": tools}
    message = {"role": "assistant", "content": content}
    said = {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
    given = {
        "key": f"{number:012d}", "started_at": 1_760_000_000.0 + number, "method": "POST", "status": 200,
        "path": "/v1/chat/completions", "ended": "whole", "request": json.dumps(asked).encode(),
        "answer": json.dumps(said).encode(), "request_type": "application/json", "answer_type": "application/json",
        "upstream_ms": 12.0, "added_ms": 0.4,
    }  # fmt: skip
    return Passed(**{**given, **fields})


def looked_at(one):
    """With what the catalogue finds in its request and answer."""
    try:
        exchange = Exchange.of(json.loads(one.request), json.loads(one.answer))
        found = [*of_exchange(exchange), *of_history(exchange.request)]
    except ValueError:
        found = []
    return Entry(passed=one, findings=tuple(noted(each) for each in found if each.state == "present"), looked="yes")


def noted(finding):
    """A finding as a record keeps it."""
    names = ("code", "name", "layer", "place", "evidence")
    return Noted(**{name: getattr(finding, name) for name in names})


def mended(**fields):
    """One that the guard changed."""
    change = Changed(kind="id", place="messages[1].tool_calls[0].id", code="R001", detail="counted anew")
    one = passed(FOREIGN, "Sunny.", **fields)
    sent = one.request.replace(b"call_abc", b"functions.get_weather:0")
    return passed(FOREIGN, "Sunny.", changes=(change,), sent=sent, **fields)


def recorded(path, exchanges, *, look=True):
    """A record of these."""
    with writing(path) as record:
        record.add([looked_at(one) if look else Entry(passed=one) for one in exchanges], {})
    return path
