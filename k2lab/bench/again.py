"""A stored case sent once more, with one thing changed: the new answer stands beside the old one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from k2lab import enforcer, jsonread, repairs
from k2lab.bench.arm import Arm, Prepared
from k2lab.bench.client import Attempt, Client
from k2lab.bench.records import Result
from k2lab.bench.samples import Sample
from k2lab.chat import Exchange, Request
from k2lab.errors import InputError
from k2lab.findings.verdicts import Verdict, judge
from k2lab.server.blocking import begin
from k2lab.server.keys import LONG, Key

Changed = Literal["nothing", "field", "history", "enforced"]
CHANGES: tuple[Changed, ...] = get_args(Changed)

NAME = "sent again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """Where a case is sent again, and the one thing that is changed.

    ``field``: ``fields``, a JSON object, is put over the request. ``history``:
    the history is repaired first. ``enforced``: k2lab's grammar goes along, in
    ``form``. The key is read from ``OPENAI_API_KEY``. ``timeout_s`` seconds it
    may take.
    """

    base_url: str
    model: str
    changed: Changed = "nothing"
    fields: Mapping[str, object] = field(default_factory=dict)
    form: enforcer.Form = "vllm"
    timeout_s: float = 600.0

    def arm(self) -> Arm:
        """As an arm of a benchmark; raises :class:`InputError` for a URL, a model or a field that cannot be."""
        if not self.model:
            raise InputError("name a model: the server may have more than one")
        return Arm(
            name=NAME,
            base_url=self.base_url,
            model=self.model,
            repair="history" if self.changed == "history" else "",
            enforce="pinned" if self.changed == "enforced" else "off",
            tag=enforcer.Options(form=self.form, family=enforcer.family_for(self.model), loosen=True),
            extra_body=self.fields if self.changed == "field" else {},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What came: the request as it was sent, the answer with its verdict, or the failure as one line."""

    exchange: Exchange
    verdict: Verdict | None
    failure: str
    duration_ms: float
    changes: tuple[repairs.Change, ...] = ()
    """What the repair changed."""


def fields_of(text: str) -> Mapping[str, object]:
    """The fields that a person wrote as JSON; raises :class:`InputError` for what is not an object."""
    try:
        value = jsonread.read_json(text)
    except jsonread.NotJSON as error:
        raise InputError(f'the field is not JSON: {error}; write it as {{"temperature": 0}}') from None
    if not isinstance(value, dict) or not value:
        raise InputError('write the field as a JSON object with a name, such as {"temperature": 0}')
    return value


def sent_again(result: Result, again: Again) -> Future[Answered]:
    """Send a case again, now; cancelling what it gives back ends the request.

    What the server does, no answer included, is data. Raises :class:`InputError`
    at once for what cannot be sent.
    """
    return request_again(_chat_request(result), again, data_index=result.data_index)


def request_again(asked: Mapping[str, Any], again: Again, *, data_index: int = 1) -> Future[Answered]:
    """The same for a chat request from elsewhere, which has ``messages``; ``data_index`` names it in an error."""
    arm = again.arm()
    prepared = arm.prepare(Sample(data_index=data_index, request=asked))
    changes: tuple[repairs.Change, ...] = ()
    if again.changed == "history":
        changes = repairs.repair(Request.of(asked["messages"], asked.get("tools")), model=again.model).changes
    return begin(_ask(arm, prepared, again.timeout_s, changes))


def _chat_request(result: Result) -> Mapping[str, Any]:
    """The request as it was sent, or before it was rendered; raises where the file has its prompt as text alone."""
    for request in (result.request, result.asked):
        if isinstance(request.get("messages"), list) and request["messages"]:
            return request
    raise InputError("the file holds this request's prompt as text alone: a chat server cannot be asked the same")


async def _ask(arm: Arm, prepared: Prepared, timeout_s: float, changes: tuple[repairs.Change, ...]) -> Answered:
    async with Client(arm, connections=1, timeout_s=timeout_s) as client:
        attempt = await client.ask(prepared)
        failure = client.explain(attempt.failure) if attempt.failure else ""
    sent, said = json.loads(prepared.body), _response(attempt)
    exchange = Exchange.of(sent, said)
    return Answered(
        exchange=exchange,
        verdict=None if failure else judge(replace(exchange, request=Request.unchecked(sent))),
        failure=failure,
        duration_ms=attempt.duration_ms,
        changes=changes,
    )


def _response(attempt: Attempt) -> Mapping[str, Any]:
    """The answer's JSON, without the key where a server repeats it: a notebook that shows it may be shared."""
    key, text = Key.of(), attempt.response or "{}"
    said = jsonread.read_json(key.masked(text) if len(key.value) >= LONG else text, constants=True)
    assert isinstance(said, dict)
    return said
