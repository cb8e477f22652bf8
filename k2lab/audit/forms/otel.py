"""OpenTelemetry: spans and events of a model's calls, as OTLP JSON, with messages by the GenAI conventions.

The form is that of https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding, an export a line, as the
collector's file exporter writes it; the attributes are those of
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (``gen_ai.input.messages`` and
``gen_ai.output.messages``, as JSON in a text or structured). Contents are recorded on demand alone
(``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``); a call without them is not looked at, and said to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from k2lab.audit.forms.base import LineForm, decoded, encoded, moment, text_of, unread
from k2lab.audit.forms.chats import answer_of, from_parts, has_decoded_arguments, tools_from, value_in
from k2lab.audit.tables import LEFT_OUT, Row

INPUT, OUTPUT, SYSTEM = "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"
TOOLS = "gen_ai.tool.definitions"
EVENT = "gen_ai.client.inference.operation.details"
EARLIER = "gen_ai."
"""How the events of the earlier conventions begin, of which each holds one message."""

OTHER_OPERATIONS = frozenset({"embeddings", "execute_tool", "create_agent", "invoke_agent", "retrieval"})
SIMPLE = {"stringValue": str, "boolValue": bool, "doubleValue": float, "intValue": int}


def rows(data: bytes) -> Iterator[Row]:
    """The exchanges of an export."""
    value = decoded(data)
    if not isinstance(value, Mapping):
        yield unread("of no known form", "no export of OpenTelemetry")
        return
    for number, (record, is_span) in enumerate(_records(value)):
        yield _of_record(record, is_span, number)


def _records(value: Mapping[str, object]) -> Iterator[tuple[Mapping[str, object], bool]]:
    for resource in _maps(value.get("resourceSpans")):
        for scope in _maps(resource.get("scopeSpans")):
            yield from ((span, True) for span in _maps(scope.get("spans")))
    for resource in _maps(value.get("resourceLogs")):
        for scope in _maps(resource.get("scopeLogs")):
            yield from ((record, False) for record in _maps(scope.get("logRecords")))


def _of_record(record: Mapping[str, object], is_span: bool, number: int) -> Row:
    said = _attributes(record.get("attributes"))
    if is_span and OUTPUT not in said:
        for event in _maps(record.get("events")):
            if event.get("name") == EVENT:
                said = {**said, **_attributes(event.get("attributes"))}
    item = "/".join(filter(None, (text_of(record.get("traceId")), text_of(record.get("spanId"))))) or f"[{number}]"
    times = (record.get("startTimeUnixNano"), record.get("timeUnixNano"), record.get("observedTimeUnixNano"))
    row = Row(
        item=item,
        model=text_of(said.get("gen_ai.request.model")) or text_of(said.get("gen_ai.response.model")),
        vendor=text_of(said.get("server.address")) or text_of(said.get("gen_ai.provider.name"))
        or text_of(said.get("gen_ai.system")),
        at_us=next((at_us for time in times if (at_us := moment(time))), None),
    )  # fmt: skip
    row.unknown = _unknown(record, said, is_span)
    if row.unknown is None:
        _fill(row, said, record)
    return row


def _unknown(record: Mapping[str, object], said: Mapping[str, object], is_span: bool) -> str | None:
    name = text_of(record.get("eventName")) or text_of(said.get("event.name")) or ""
    asked = INPUT in said or OUTPUT in said
    if said.get("gen_ai.operation.name") in OTHER_OPERATIONS:
        return f"{LEFT_OUT}of another operation than a model's answer"
    if asked:
        return None
    if not is_span and name.startswith(EARLIER) and name != EVENT:
        return f"an event a message: {name} is of the earlier conventions, which are not put together"
    if any(key.startswith("gen_ai.") for key in said):
        return "its contents were not recorded: see OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    return f"{LEFT_OUT}of no model"


def _fill(row: Row, said: Mapping[str, object], record: Mapping[str, object]) -> None:
    asked, output = value_in(said.get(INPUT)), value_in(said.get(OUTPUT))
    tools = tools_from(said.get(TOOLS))
    lacks = [] if tools is not None else ["tools"]
    if isinstance(asked, list):
        system = value_in(said.get(SYSTEM))
        before = [{"role": "system", "parts": system}] if isinstance(system, list) and system else []
        request = {"model": row.model, "messages": [*from_parts([*before, *asked])]}
        row.request = encoded({**request, "tools": tools} if tools is not None else request)
    choices = list(_maps(output))
    if choices:
        reasons = said.get("gen_ai.response.finish_reasons")
        known = reasons if isinstance(reasons, list) else []
        row.answer = encoded(answer_of(choices, known))
        lacks += ["argument text"] if has_decoded_arguments(output) else []
        lacks += [] if known or any(one.get("finish_reason") for one in choices) else ["finish_reason"]
    elif said.get("error.type"):
        status = record.get("status")
        told = text_of(status.get("message")) if isinstance(status, Mapping) else None
        row.answer = encoded({"error": {"type": said["error.type"], "message": told or ""}})
    else:
        row.request, row.unknown = None, "no answer: neither a message nor an error was recorded"
    row.lacks = ",".join(lacks)


def _attributes(pairs: object) -> dict[str, object]:
    return {str(pair.get("key")): _any(pair.get("value")) for pair in _maps(pairs)}


def _any(value: object) -> object:
    """An ``AnyValue`` of OTLP."""
    if not isinstance(value, Mapping):
        return None
    for name, kind in SIMPLE.items():
        if name in value:
            try:
                return kind(value[name])
            except (TypeError, ValueError):
                return None
    if isinstance(value.get("arrayValue"), Mapping):
        inner = value["arrayValue"].get("values")
        return [_any(one) for one in inner] if isinstance(inner, list) else []
    if isinstance(value.get("kvlistValue"), Mapping):
        return _attributes(value["kvlistValue"].get("values"))
    return value.get("bytesValue")


def _maps(values: object) -> Iterable[Mapping[str, object]]:
    return (value for value in values if isinstance(value, Mapping)) if isinstance(values, list) else ()


def takes(value: Mapping[str, object]) -> bool:
    """Whether a record is an export of spans or of logs."""
    return isinstance(value.get("resourceSpans"), list) or isinstance(value.get("resourceLogs"), list)


OTEL = LineForm(name="otel", words="spans or events of OpenTelemetry's GenAI conventions", takes=takes, rows=rows)
