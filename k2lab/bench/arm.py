"""An arm of a benchmark: where requests go and how they are changed on the way.

Everything that shapes the answer is in :meth:`Arm.config`, whose digest is part
of each request's key: an answer is reused for the same key and for no other.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from k2lab import enforcer, repairs
from k2lab.bench.samples import Sample
from k2lab.chat import CHAT_ONLY, Request
from k2lab.errors import InputError, RequestError, UnsupportedError
from k2lab.server.transport import checked_url

if TYPE_CHECKING:
    from k2lab.prompt.source import Source

Repair = Literal["", "ids", "history"]
Enforce = Literal["off", "server-function", "server-parameter", "pinned"]

PREPARATION = 2
"""To be raised when :meth:`Arm.prepare` makes another request of the same sample, so that no older answer is reused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A request as it is sent: its JSON, its key, and the chat request before a change, where there was one."""

    data_index: int
    key: str
    body: bytes
    stream: bool
    original: str | None = None
    tools: Any = None


@dataclass(frozen=True, kw_only=True)
class Arm:
    """How a benchmark's requests are sent.

    ``repair`` mends the history first: its ids alone, or all that
    :func:`k2lab.repairs.repair` mends. ``extra_body`` is put over the request's
    own fields. With ``source`` a prompt is rendered outside the server and sent
    to ``/completions``. ``serves`` names what stands behind the URL where the
    URL does not say it, such as a local engine on a port of the day. ``stream``
    of ``None`` leaves that to each request. ``template_kwargs`` are put over the
    template's variables that a request has.

    ``enforce``: ``pinned`` sends our grammar with each request; the ``server-``
    ones say that the server was started with that level of vLLM's own
    enforcement. ``tag``: how that grammar is made.
    """

    name: str
    base_url: str
    model: str
    stream: bool | None = None
    repair: Repair = ""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    source: Source | None = None
    serves: str = ""
    enforce: Enforce = "off"
    tag: enforcer.Options = enforcer.Options()  # noqa: RUF009 - frozen
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked_url(self.base_url)
        if not self.name or not self.name.isprintable():
            raise InputError(f"an arm needs a printable name, not {self.name!r}")
        if "messages" in self.extra_body:
            raise InputError("extra_body holds messages, which would make all requests one: leave them out")

    @property
    def url(self) -> str:
        """Where requests are posted."""
        return f"{self.base_url.rstrip('/')}/{'completions' if self.source else 'chat/completions'}"

    def config(self) -> dict[str, Any]:
        """All that shapes the answer beside the request, as JSON data."""
        return {
            "preparation": PREPARATION,
            "endpoint": self.serves or self.url,
            "model": self.model,
            "stream": self.stream,
            "repair": self.repair,
            "extra_body": dict(self.extra_body),
            **({"template_kwargs": dict(self.template_kwargs)} if self.template_kwargs else {}),
            "enforce": self.enforce,
            **({"tag": self.tag.to_json()} if self.enforce == "pinned" else {}),
            "rendered_by_hand": self.source.template_sha256 if self.source else "",
        }

    @cached_property
    def digest(self) -> str:
        """Of :meth:`config`."""
        return digest_of(self.config())

    def prepare(self, sample: Sample) -> Prepared:
        """The request as it is sent; the sample is not changed.

        Raises :class:`InputError` for a request that cannot be repaired or rendered.
        """
        request = {**sample.request, "model": self.model, **self.extra_body}
        request["messages"] = [_as_system(message) for message in request["messages"]]
        if self.template_kwargs:
            request["chat_template_kwargs"] = {**_template_kwargs(sample.data_index, request), **self.template_kwargs}
        original, tools = None, request.get("tools")
        if self.repair or self.source or self.enforce == "pinned":
            original = json.dumps(request)
            request["messages"] = self._repaired(sample.data_index, request)
        if self.enforce == "pinned":
            request = self._enforced(sample.data_index, request)
        if self.stream is not None:
            request["stream"] = self.stream
        stream = bool(request.get("stream"))
        if stream:
            request["stream_options"] = {"include_usage": True, **(request.get("stream_options") or {})}
        else:  # servers refuse it with a request that is not streamed
            request.pop("stream_options", None)
        if self.source:
            stream, request = False, self._by_hand(self.source, sample.data_index, request)
        body = _json(request)
        key = hashlib.sha256(self.digest.encode() + body).hexdigest()
        return Prepared(data_index=sample.data_index, key=key, body=body, stream=stream, original=original, tools=tools)

    def _repaired(self, data_index: int, request: Mapping[str, Any]) -> list[Any]:
        conversation = _conversation(data_index, request)
        if self.repair == "ids":
            return list(repairs.renumber(conversation, model=self.model).request.messages)
        if self.repair == "history":
            repaired = repairs.repair(conversation, model=self.model)
            if repaired.problems:
                first = f"line {data_index}: {repaired.problems[0]}"
                self._tell("repair", f"some histories keep problems that repair cannot mend, the first in {first}")
            return list(repaired.request.messages)
        return list(conversation.messages)

    def _enforced(self, data_index: int, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            held = enforcer.attach(_conversation(data_index, request), options=self.tag)
            kept = {key: value for key, value in request.items() if key not in enforcer.CHOICES}
            return {**kept, **({"tools": list(held.tools)} if held.tools else {}), **held.parameters}
        except UnsupportedError as error:
            raise UnsupportedError(f"line {data_index} of the samples: {error}") from None
        except InputError as error:
            raise InputError(f"line {data_index} of the samples: {error}") from None

    def _by_hand(self, source: Source, data_index: int, request: Mapping[str, Any]) -> dict[str, Any]:
        from k2lab.prompt.rendering import render

        rendering = render(source, _conversation(data_index, request))
        for note in rendering.provenance.notes:
            self._tell(note, f"prompts rendered by hand: {note}")
        kept = {key: value for key, value in request.items() if key not in CHAT_ONLY}
        return {**kept, "prompt": rendering.text, "skip_special_tokens": False}

    @cached_property
    def _told(self) -> set[str]:
        return set()

    def _tell(self, kind: str, note: str) -> None:
        """A warning of each kind once."""
        if kind not in self._told:
            self._told.add(kind)
            logging.getLogger(__name__).warning(note)


def digest_of(value: Any) -> str:
    """sha256 of JSON data, the order of keys aside."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8, but an escape
        return json.dumps(value, separators=(",", ":")).encode()


def _as_system(message: Mapping[str, Any]) -> dict[str, Any]:
    """K2VV's role ``_input`` means ``system``."""
    return {**message, "role": "system"} if message.get("role") == "_input" else dict(message)


def _template_kwargs(data_index: int, request: Mapping[str, Any]) -> Mapping[str, Any]:
    given = request.get("chat_template_kwargs") or {}
    if not isinstance(given, Mapping):
        raise InputError(f"line {data_index} of the samples: chat_template_kwargs must be an object")
    return given


def _conversation(data_index: int, request: Mapping[str, Any]) -> Request:
    try:
        beside = {key: value for key, value in request.items() if key not in ("messages", "tools")}
        return Request.of(request["messages"], request.get("tools"), beside)
    except RequestError as error:
        raise InputError(f"line {data_index} of the samples: {error}") from None
