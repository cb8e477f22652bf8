"""One request to a server, once: an answer that can be judged, or a failure with its kind and reason.

Built on aiohttp without a client library in between, as the benchmark's own
work must not be what limits it. Nothing is retried here.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from k2lab import wire
from k2lab.bench.arm import Arm, Prepared
from k2lab.bench.stream import Assembly
from k2lab.errors import EndpointError
from k2lab.server.transport import CONNECT_TIMEOUT_S, KEY_VARIABLE, STATUS_HINTS

if TYPE_CHECKING:
    import aiohttp

FailureKind = Literal["connect", "disconnect", "timeout", "status", "garbage", "incomplete"]

MAX_ANSWER_BYTES = 64 << 20
"""Longer answers are no chat answers, and must not fill the memory."""

MAX_EVENT_BYTES = 4 << 20
KEEP_ALIVE_S = 4.0
"""Shorter than the five seconds after which common servers close an idle connection."""

HELLO_TIMEOUT_S = 10.0
DETAIL_CHARS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a request has no answer; ``status`` is the HTTP status where there was one."""

    kind: FailureKind
    detail: str
    status: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try of a request: an answer's JSON text, or a failure.

    ``first_ms`` is the time to the first event of a streamed answer.
    """

    started_at: str
    duration_ms: float
    first_ms: float | None
    response: str | None
    finish_reason: str | None
    usage: Mapping[str, Any]
    failure: Failure | None


class Failed(Exception):
    """Carries a :class:`Failure` up to where the attempt is recorded."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class Client:
    """Connections to one server, for as long as an ``async with`` block."""

    def __init__(self, arm: Arm, *, connections: int, timeout_s: float, api_key: str | None = None) -> None:
        self._arm = arm
        self._connections = connections
        self._timeout_s = timeout_s
        self._key = (api_key or os.environ.get(KEY_VARIABLE) or "").strip()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Client:
        import aiohttp

        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            headers=headers,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def hello(self) -> None:
        """Ask for the list of models; raises :class:`EndpointError` where nobody answers or the key is refused.

        A server that has no such list, or answers it badly, may still chat.
        """
        url = f"{self._arm.base_url.rstrip('/')}/models"
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S), self._answered(url, None) as answer:
                await _read(answer)
        except TimeoutError:
            failure = Failure(kind="timeout", detail=f"no list of models within {HELLO_TIMEOUT_S:g} s")
        except Failed as failed:
            failure = failed.failure
        else:
            return
        if failure.kind in ("connect", "timeout") or failure.status in (401, 403):
            raise EndpointError(self.explain(failure))

    async def ask(self, prepared: Prepared) -> Attempt:
        """Send a request once; never raises for what a server does."""
        started_at, started = datetime.now(UTC).isoformat(timespec="milliseconds"), time.perf_counter()
        response: str | None = None
        data: Mapping[str, Any] = {}
        failure: Failure | None = None
        first_ms: float | None = None
        try:
            async with self._answered(self._arm.url, prepared.body) as answer:
                if prepared.stream:
                    response, data, first_s = await self._streamed(answer)
                    first_ms = None if first_s is None else (first_s - started) * 1000
                else:
                    response = self._clean(await _read(answer))
                    data = _decoded(response)
                    if self._arm.source:
                        data = as_chat(data, prepared.tools)
                        response = self._without_key(json.dumps(data))
                _check_shape(data)
        except Failed as failed:
            failure, response, data = failed.failure, None, {}
        duration_ms = (time.perf_counter() - started) * 1000
        usage = data.get("usage")
        return Attempt(
            started_at=started_at,
            duration_ms=duration_ms,
            first_ms=first_ms,
            response=response,
            finish_reason=data["choices"][0].get("finish_reason") if data else None,
            usage=usage if isinstance(usage, dict) else {},
            failure=failure,
        )

    def explain(self, failure: Failure) -> str:
        """A failure as one line for a person, with the next step."""
        if failure.kind == "status":
            hint = STATUS_HINTS.get(failure.status or 0, "")
            return f"{self._arm.base_url} answered {failure.status}: {failure.detail}{hint}"
        if failure.kind == "connect":
            where = self._arm.base_url
            return f"nobody answers at {where} ({failure.detail}): start a server or check the URL"
        if failure.kind == "timeout":
            return f"{self._arm.base_url} accepts and does not answer ({failure.detail}): is it a model server?"
        return f"{self._arm.base_url}: {failure.kind}: {failure.detail}"

    @contextlib.asynccontextmanager
    async def _answered(self, url: str, body: bytes | None) -> AsyncIterator[aiohttp.ClientResponse]:
        """A 200 answer; everything else is raised as :class:`Failed`."""
        import aiohttp

        try:
            async with self._session.request("GET" if body is None else "POST", url, data=body) as answer:
                if answer.status != 200:
                    raise Failed(await self._refusal(answer))
                yield answer
        except aiohttp.ClientConnectorError as error:
            raise Failed(Failure(kind="connect", detail=_line(error.os_error or error))) from None
        except (aiohttp.InvalidURL, UnicodeError) as error:  # a host or port that there cannot be
            raise Failed(Failure(kind="connect", detail=_line(error))) from None
        except aiohttp.ConnectionTimeoutError:
            raise Failed(Failure(kind="connect", detail=f"no connection within {CONNECT_TIMEOUT_S:.0f} s")) from None
        except TimeoutError:
            raise Failed(Failure(kind="timeout", detail=f"no whole answer within {self._timeout_s:g} s")) from None
        except (aiohttp.ClientError, OSError) as error:
            kind: FailureKind = "garbage" if isinstance(error, aiohttp.ClientResponseError) else "disconnect"
            raise Failed(Failure(kind=kind, detail=self._without_key(_line(error)))) from None

    async def _refusal(self, answer: aiohttp.ClientResponse) -> Failure:
        try:
            text = self._clean(await _read(answer))
        except Failed as failed:
            text = failed.failure.detail
        try:
            body = json.loads(text)
            error = body.get("error", body) if isinstance(body, dict) else body
            text = str(error.get("message") or error) if isinstance(error, dict) else str(error)
        except (ValueError, RecursionError):
            pass
        return Failure(
            kind="status",
            detail=_line(text or "no text"),
            status=answer.status,
            retry_after_s=_retry_after(answer.headers),
        )

    async def _streamed(self, answer: aiohttp.ClientResponse) -> tuple[str, dict[str, Any], float | None]:
        """The answer that a stream of events stands for, and when its first event came."""
        if not answer.content_type.startswith("text/event-stream"):  # a server that does not stream answers at once
            text = self._clean(await _read(answer))
            return text, _decoded(text), None
        assembly, first_s = Assembly(), None
        async for event in _events(answer):
            first_s = first_s or time.perf_counter()
            if event == b"[DONE]":
                break
            data = _decoded(self._clean(event))
            if data.get("error"):
                raise Failed(Failure(kind="incomplete", detail=f"the stream ended in an error: {_line(data['error'])}"))
            try:
                assembly.event(data)
            except (TypeError, AttributeError, ValueError) as error:
                raise Failed(Failure(kind="garbage", detail=f"an event of another shape: {_line(error)}")) from None
        if assembly.finish_reason is None:
            raise Failed(Failure(kind="incomplete", detail="the stream ended without a finish_reason"))
        response = assembly.response()
        return self._without_key(json.dumps(response)), response, first_s

    def _clean(self, data: bytes) -> str:
        """What a server sent, as text without the key."""
        return self._without_key(data.decode("utf-8", "replace"))

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def is_fatal(failure: Failure) -> bool:
    """Whether every other request would fail likewise: nobody there, key refused, wrong URL or model."""
    return failure.kind == "connect" or failure.status in (401, 403, 404)


def is_passing(failure: Failure) -> bool:
    """Whether the same request may well succeed later."""
    return failure.status in (408, 409, 425, 429) or (failure.status or 500) >= 500


def as_chat(answer: Mapping[str, Any], tools: Any) -> dict[str, Any]:
    """A plain completion read as the chat answer that a server with a tolerant parser makes of it.

    A call that names a tool and has arguments is a call, right or wrong; what is
    malformed stays content, but for a call that the end of the room cut off.
    The raw text is kept as ``completion``.
    """
    choice = _choice(answer)
    text = choice.get("text")
    if not isinstance(text, str):
        raise Failed(Failure(kind="garbage", detail="a completion without a text"))
    parsed = wire.parse(text, tools)
    finish = choice.get("finish_reason")
    calls, content = [], parsed.content or ""
    for call in parsed.calls:
        if call.name and call.status not in ("malformed", "truncated"):
            mended = call.status == "repaired" and call.arguments is not None
            arguments = wire.arguments_text(call.arguments or {}) if mended else call.arguments_raw
            function = {"name": call.name, "arguments": arguments}
            calls.append({"id": call.id, "type": "function", "function": function})
        elif call.status != "truncated" or finish != "length":
            content += call.raw
    message: dict[str, Any] = {"role": "assistant", "content": content or None, "tool_calls": calls or None}
    if parsed.reasoning:
        message["reasoning_content"] = parsed.reasoning
    finish = "tool_calls" if calls and finish == "stop" else finish
    return {**answer, "choices": [{"index": 0, "message": message, "finish_reason": finish, "completion": text}]}


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise Failed(Failure(kind="garbage", detail=f"an answer of more than {MAX_ANSWER_BYTES >> 20} MiB"))
        parts.append(part)
    return b"".join(parts)


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The data of each server-sent event; an answer too long is refused."""
    rest, size = b"", 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise Failed(Failure(kind="garbage", detail=f"a stream of more than {MAX_ANSWER_BYTES >> 20} MiB"))
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > MAX_EVENT_BYTES:
            raise Failed(Failure(kind="garbage", detail=f"an event of more than {MAX_EVENT_BYTES >> 20} MiB"))
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    if rest.startswith(b"data:"):
        yield rest[5:].strip()


def _decoded(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Failed(Failure(kind="garbage", detail=f"not JSON: {text[:80]!r}")) from None
    if not isinstance(data, dict):
        raise Failed(Failure(kind="garbage", detail=f"not a JSON object: {text[:80]!r}"))
    return data


def _choice(data: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Failed(Failure(kind="garbage", detail="an answer without choices"))
    return choices[0]


def _check_shape(data: Mapping[str, Any]) -> None:
    choice = _choice(data)
    if not isinstance(choice.get("message"), dict):
        raise Failed(Failure(kind="garbage", detail="an answer without a message"))
    if not isinstance(choice.get("finish_reason"), str):
        raise Failed(Failure(kind="incomplete", detail="an answer without a finish_reason"))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a ``Retry-After`` header: a number, or a date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _line(error: object) -> str:
    text = str(getattr(error, "strerror", None) or error).encode("utf-8", "replace").decode()  # a lone surrogate
    return (text.strip().splitlines() or [type(error).__name__])[0][:DETAIL_CHARS] or type(error).__name__
