"""litellm: its StandardLoggingPayload, as its loggers hand it on, and the rows of its table of spend.

The form is that of ``StandardLoggingPayload`` in ``litellm/types/utils.py`` of BerriAI/litellm (1.110) and of
``LiteLLM_SpendLogs`` in its ``schema.prisma``; see https://docs.litellm.ai/docs/proxy/logging_spec. Its proxy keeps
messages and answers in that table with ``store_prompts_in_spend_logs`` alone, and ``turn_off_message_logging`` writes
``redacted-by-litellm`` in their place: such a row is not looked at, and said to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from k2lab.audit.forms.base import LineForm, decoded, encoded, moment, text_of, unread
from k2lab.audit.forms.chats import value_in
from k2lab.audit.tables import LEFT_OUT, Row

NAMES = ("litellm_call_id", "request_id", "id")
REDACTED = "redacted-by-litellm"
NOT_STORED = "prompts were not stored: litellm keeps them with store_prompts_in_spend_logs, unredacted"
CHATS = frozenset({"completion", "acompletion", "text_completion", "atext_completion"})
OTHER_APIS = frozenset({"responses", "aresponses", "anthropic_messages", "generate_content", "agenerate_content"})


def rows(data: bytes) -> Iterator[Row]:
    """The exchange of a payload."""
    value = decoded(data)
    if not isinstance(value, Mapping):
        yield unread("of no known form", "no payload of litellm's")
        return
    row = Row(
        item=text_of(value.get("litellm_call_id"))
        or text_of(value.get("request_id"))
        or text_of(value.get("id"))
        or "",
        model=text_of(value.get("model")),
        vendor=_host(value.get("api_base")) or text_of(value.get("custom_llm_provider")),
        at_us=moment(value.get("startTime")),
    )
    row.unknown = _unknown(value)
    if row.unknown is None:
        _fill(row, value)
    yield row


def _unknown(value: Mapping[str, object]) -> str | None:
    kind = value.get("call_type")
    if kind in OTHER_APIS:
        return f"another API than that of chats and completions: {kind}"
    return None if kind in CHATS else f"{LEFT_OUT}of another kind than a chat or a completion"


def _fill(row: Row, value: Mapping[str, object]) -> None:
    sent = value_in(value.get("proxy_server_request"))
    messages = value_in(value.get("messages"))
    parameters = value_in(value.get("model_parameters"))
    if not messages and isinstance(sent, Mapping) and sent.get("messages"):
        request: Mapping[str, object] = sent
    else:
        request = {"model": row.model, "messages": messages, **(parameters if isinstance(parameters, Mapping) else {})}
    answer = value_in(value.get("response"))
    failed = value.get("status") == "failure"
    if isinstance(answer, str) and answer and not _is_redacted(answer) and value.get("call_type") in CHATS:
        row.lacks, answer = "finish_reason", {"choices": [{"index": 0, "finish_reason": None, "text": answer}]}
    if failed and not answer:
        answer = {"error": {"message": text_of(value.get("error_str")) or "failed"}}
    if not request["messages"] or _is_redacted(request["messages"]) or not answer or _is_redacted(answer):
        row.unknown = NOT_STORED
        return
    row.request, row.answer = encoded(request), encoded(answer)
    if not isinstance(parameters, Mapping) and request is not sent:
        row.lacks = ",".join(filter(None, ("tools", row.lacks)))


def _is_redacted(value: object) -> bool:
    """Whether a text stands in place of what was said."""
    if isinstance(value, str):
        return value == REDACTED
    if isinstance(value, Mapping):
        return any(map(_is_redacted, value.values()))
    return isinstance(value, list) and any(map(_is_redacted, value))


def _host(url: object) -> str | None:
    try:
        return urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        return None


def takes(value: Mapping[str, object]) -> bool:
    """Whether a record is a payload of litellm's, or a row of its table of spend."""
    beside = {"custom_llm_provider", "model_parameters", "response_cost", "spend", "hidden_params"}
    return {"call_type", "messages", "response"} <= value.keys() and bool(beside & value.keys())


LITELLM = LineForm(name="litellm", words="logging payloads of litellm", takes=takes, rows=rows)
