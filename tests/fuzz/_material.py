"""Good files, from which bad ones are made."""

from __future__ import annotations

import json
from typing import Any

from k2lab import paths

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "pattern": "^[A-Z]", "maxLength": 30},
                    "days": {"type": "integer", "minimum": 1, "maximum": 7},
                    "unit": {"enum": ["C", "F"]},
                    "near": {"type": "array", "items": {"$ref": "#/$defs/place"}, "maxItems": 2},
                },
                "required": ["city"],
                "additionalProperties": False,
                "$defs": {"place": {"type": "object", "properties": {"name": {"type": "string"}}}},
            },
            "strict": True,
        },
    }
]

CALL = {
    "id": "functions.get_weather:0",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
}

HISTORY: dict[str, Any] = {
    "model": "kimi-k2",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather in Paris?"}]},
        {"role": "assistant", "content": "", "reasoning_content": "A call.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "functions.get_weather:0", "name": "get_weather", "content": "Sunny"},
        {"role": "user", "content": "And tomorrow?"},
    ],
    "tools": TOOLS,
    "tool_choice": "auto",
    "max_tokens": 20,
    "chat_template_kwargs": {"thinking": False},
    "extra_body": {"top_k": 1},
}

CONVERSATIONS: list[Any] = [
    HISTORY,
    HISTORY["messages"],
    *(
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((paths.data_dir() / "conversations").glob("*.json"))
    ),
]

FAILURES: list[Any] = [
    json.loads(line) for line in (paths.data_dir() / "failures.jsonl").read_text(encoding="utf-8").splitlines()
]

OUTPUTS: list[bytes] = [one["raw_output"].encode() for one in FAILURES]


def samples(count: int) -> list[Any]:
    """So many requests of a benchmark."""
    return [{"messages": HISTORY["messages"][:2], "tools": TOOLS, "user": str(number)} for number in range(count)]


def results(count: int) -> list[Any]:
    """So many lines of a result file of K2VV."""
    return [_result(number) for number in range(1, count + 1)]


def _result(index: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    return {
        "data_index": index,
        "request": samples(1)[0],
        "response": {
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        },
        "status": "success",
        "finish_reason": "tool_calls",
        "tool_calls_valid": True,
        "last_run_at": "2025-11-01T10:00:00",
        "duration_ms": 1200,
        "hash": "0",
    }


SUMMARY: dict[str, Any] = {
    "model": "kimi-k2",
    "success_count": 3,
    "failure_count": 0,
    "finish_stop": 0,
    "finish_tool_calls": 3,
    "finish_others": 0,
    "finish_others_detail": {},
    "schema_validation_error_count": 0,
    "successful_tool_call_count": 3,
    "usage": {"prompt_tokens": 30, "completion_tokens": 15, "total_tokens": 45},
    "eval_started_at": "2025-11-01T10:00:00",
    "eval_finished_at": "2025-11-01T10:01:00",
    "eval_duration_ms": 60000,
}
