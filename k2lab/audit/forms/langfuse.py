"""langfuse: observations as it exports them, as JSON, JSONL or Parquet.

The form is that of https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields (enriched and
legacy observations) and of its API, whose names are in camel case. A generation's input is what its SDK wrote of a
request, ``{"tools", "messages"}`` or messages alone, and its output a message: why an answer ended is not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from k2lab.audit.forms.base import LineForm, decoded, encoded, moment, text_of, unread
from k2lab.audit.forms.chats import tools_from, value_in
from k2lab.audit.tables import LEFT_OUT, Row

MODELS = ("provided_model_name", "providedModelName", "model", "internal_model_name")
TIMES = ("start_time", "startTime", "timestamp")
WITHOUT = "input and output were not exported"


def rows(data: bytes) -> Iterator[Row]:
    """The exchange of an observation; those of a trace that holds its observations."""
    value = decoded(data)
    if not isinstance(value, Mapping):
        yield unread("of no known form", "no observation of langfuse's")
        return
    inner = value_in(value.get("observations"))
    for one in inner if isinstance(inner, list) else [value]:
        yield _of_observation(one) if isinstance(one, Mapping) else unread("of no known form", "no observation")


def _of_observation(value: Mapping[str, object]) -> Row:
    row = Row(
        item=text_of(value.get("id")) or "",
        model=next((model for name in MODELS if (model := text_of(value.get(name)))), None),
        at_us=next((at_us for name in TIMES if (at_us := moment(value.get(name)))), None),
    )
    if str(value.get("type")).upper() != "GENERATION":
        row.unknown = f"{LEFT_OUT}of another kind than a generation"
    else:
        _fill(row, value)
    return row


def _fill(row: Row, value: Mapping[str, object]) -> None:
    asked, said = value_in(value.get("input")), value_in(value.get("output"))
    told = text_of(value.get("status_message")) or text_of(value.get("statusMessage"))
    if asked is None and said is None:
        row.unknown = WITHOUT
        return
    request = _request(row, asked, value)
    answer = _answer(said, failed=value.get("level") == "ERROR", told=told)
    if answer is None:
        row.unknown = "no answer: no output was recorded"
        return
    lacks = [] if "choices" in (said if isinstance(said, Mapping) else {}) or "error" in answer else ["finish_reason"]
    if request is not None and not request.get("tools"):
        lacks.append("tools")
    row.request = None if request is None else encoded(request)
    row.answer, row.lacks = encoded(answer), ",".join(lacks)


def _request(row: Row, asked: object, value: Mapping[str, object]) -> dict[str, object] | None:
    """The request, as far as the input holds it; ``None`` where it does not."""
    fields: dict[str, object] = {}
    if isinstance(asked, Mapping):
        fields = {str(name): part for name, part in asked.items()}
    elif isinstance(asked, list) and all(isinstance(one, Mapping) and "role" in one for one in asked):
        fields = {"messages": asked}
    if not isinstance(fields.get("messages"), list):
        return None
    tools = fields.get("tools") or tools_from(value.get("tool_definitions") or value.get("toolDefinitions"))
    fields = {name: part for name, part in fields.items() if name != "tools"}
    return {"model": row.model, **fields, **({"tools": tools} if tools else {})}


def _answer(said: object, *, failed: bool, told: str | None) -> dict[str, object] | None:
    if isinstance(said, Mapping) and ("choices" in said or "error" in said):
        return {str(name): part for name, part in said.items()}
    if isinstance(said, list) and len(said) == 1 and isinstance(said[0], Mapping):
        said = said[0]
    if isinstance(said, Mapping) and ({"role", "content", "tool_calls"} & said.keys()):
        return {"choices": [{"index": 0, "finish_reason": None, "message": said}]}
    if isinstance(said, str) and said and not failed:
        message = {"role": "assistant", "content": said}
        return {"choices": [{"index": 0, "finish_reason": None, "message": message}]}
    return {"error": {"message": told or (said if isinstance(said, str) else "failed")}} if failed else None


def takes(value: Mapping[str, object]) -> bool:
    """Whether a record is an observation, or a trace with its observations."""
    if isinstance(value_in(value.get("observations")), list) and "request" not in value:
        return True
    timed = any(name in value for name in TIMES)
    traced = "trace_id" in value or "traceId" in value
    return timed and traced and "type" in value and bool({"input", "output", "level"} & value.keys())


LANGFUSE = LineForm(name="langfuse", words="observations that langfuse exported", takes=takes, rows=rows)
