"""One request to a server, once: an answer that can be judged, or a failure with its kind and reason.

Built on aiohttp without a client library in between, as the benchmark's own
work must not be what limits it. Nothing is retried here.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

from k2lab.bench.arm import Arm, Prepared
from k2lab.bench.shapes import as_chat, finish_reason
from k2lab.bench.stream import Assembly
from k2lab.server.keys import Key
from k2lab.server.session import Session, events, read
from k2lab.server.shapes import json_object
from k2lab.server.transport import Failed, Failure, error_of, explain, plain

if TYPE_CHECKING:
    import aiohttp

HELLO_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try of a request: an answer's JSON text, or a failure.

    ``first_ms`` is the time to the first event of a streamed answer.
    """

    started_at: str
    duration_ms: float
    first_ms: float | None = None
    response: str | None = None
    finish_reason: str | None = None
    usage: Mapping[str, object]
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Got:
    """An answer's JSON text as it came and what it says, and when the first event of a stream came."""

    text: str
    data: Mapping[str, object]
    first_s: float | None = None


class Client:
    """Connections to one server, for as long as an ``async with`` block."""

    def __init__(self, arm: Arm, *, connections: int, timeout_s: float, key: Key | None = None) -> None:
        self._arm = arm
        self._session = Session(arm.base_url, key or Key.of(), timeout_s=timeout_s, connections=connections)

    async def __aenter__(self) -> Client:
        await self._session.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.__aexit__(kind, value, trace)

    async def hello(self) -> None:
        """Ask for the list of models; raises :class:`EndpointError` where nobody answers or the key is refused.

        A server that has no such list, or answers it badly, may still chat.
        """
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                await self._session.whole(f"{self._session.base_url}/models", None)
        except TimeoutError:
            failure = Failure(kind="timeout", detail=f"no list of models within {HELLO_TIMEOUT_S:g} s")
        except Failed as failed:
            failure = failed.failure
        else:
            return
        if failure.kind in ("connect", "timeout") or failure.status in (401, 403):
            raise error_of(self._arm.base_url, failure, self._session.key)

    async def ask(self, prepared: Prepared) -> Attempt:
        """Send a request once; never raises for what a server does."""
        started_at, started = datetime.now(UTC).isoformat(timespec="milliseconds"), time.perf_counter()
        try:
            async with self._session.answered(self._arm.url, prepared.body) as answer:
                got = await self._got(answer, prepared)
            ended = finish_reason(got.data)
        except Failed as failed:
            duration_ms = (time.perf_counter() - started) * 1000
            return Attempt(started_at=started_at, duration_ms=duration_ms, usage={}, failure=failed.failure)
        usage = got.data.get("usage")
        return Attempt(
            started_at=started_at,
            duration_ms=(time.perf_counter() - started) * 1000,
            first_ms=None if got.first_s is None else (got.first_s - started) * 1000,
            response=got.text,
            finish_reason=ended,
            usage=usage if isinstance(usage, dict) else {},
        )

    def explain(self, failure: Failure) -> str:
        """A failure as one line for a person, with the next step."""
        return self._session.key.masked(explain(self._arm.base_url, failure))

    async def _got(self, answer: aiohttp.ClientResponse, prepared: Prepared) -> _Got:
        if prepared.stream and answer.content_type.startswith("text/event-stream"):
            return await self._streamed(answer)
        body = await read(answer)  # a server that does not stream answers at once
        data = json_object(body, self._session.key)
        if self._arm.source:
            data = as_chat(data, prepared.tools, self._arm.source.family)
            return _Got(text=json.dumps(data), data=data)
        return _Got(text=body.decode("utf-8-sig"), data=data)

    async def _streamed(self, answer: aiohttp.ClientResponse) -> _Got:
        """The answer that a stream of events stands for."""
        assembly, first_s, key = Assembly(), None, self._session.key
        async for event in events(answer):
            first_s = first_s or time.perf_counter()
            if event == b"[DONE]":
                break
            data = json_object(event, key)
            if data.get("error"):
                said = plain(key.masked(str(data["error"])))
                raise Failed.of("incomplete", f"the stream ended in an error: {said}")
            try:
                assembly.event(data)
            except (TypeError, AttributeError, ValueError) as error:
                raise Failed.of("garbage", f"an event of another shape: {plain(key.masked(str(error)))}") from None
        if assembly.finish_reason is None:
            raise Failed.of("incomplete", "the stream ended without a finish_reason")
        response = assembly.response()
        return _Got(text=json.dumps(response), data=response, first_s=first_s)
