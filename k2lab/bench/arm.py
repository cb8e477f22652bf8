"""An arm of a benchmark: where requests go and how they are changed on the way.

Everything that shapes the answer is in :meth:`Arm.config`, whose digest is part
of each request's key: an answer is reused for the same key and for no other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from k2lab import enforcer, repair
from k2lab.bench.samples import Sample
from k2lab.chat import Conversation
from k2lab.endpoint import checked_url
from k2lab.errors import ConversationError, InputError, UnsupportedError

if TYPE_CHECKING:
    from k2lab.source import Source

Repair = Literal["", "ids", "history"]
Enforce = Literal["off", "server-function", "server-parameter", "pinned"]

PREPARATION = 2
"""To be raised when :meth:`Arm.prepare` makes another request of the same sample, so that no older answer is reused."""

CHAT_ONLY = frozenset({"messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "stream_options"})
"""What a chat request may hold and a plain completion cannot."""


@dataclass(frozen=True)
class Prepared:
    """A request as it is sent: its JSON, its key, and the chat request before a change, where there was one."""

    data_index: int
    key: str
    body: bytes
    stream: bool
    original: str | None = None
    tools: Any = None


@dataclass(frozen=True)
class Arm:
    """How a benchmark's requests are sent.

    ``repair`` mends the history first: its ids alone, or all that
    :func:`k2lab.repair.history` mends. ``extra_body`` is put over the request's
    own fields. With ``source`` a prompt is rendered outside the server and sent
    to ``/completions``. ``serves`` names what stands behind the URL where the
    URL does not say it, such as a local engine on a port of the day. ``stream``
    of ``None`` leaves that to each request.

    ``enforce``: ``pinned`` sends our grammar with each request; the ``server-``
    ones say that the server was started with that level of vLLM's own
    enforcement. ``form``, ``max_calls``, ``max_string``, ``loosen`` and
    ``thinking`` are those of :func:`k2lab.enforcer.enforce`.
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
    max_calls: int = enforcer.MAX_CALLS
    max_string: int | None = None
    loosen: bool = False
    thinking: enforcer.Thinking = "no"
    form: enforcer.Form = "vllm"

    def __post_init__(self) -> None:
        checked_url(self.base_url)
        if not self.name or not self.name.isprintable():
            raise InputError(f"an arm needs a printable name, not {self.name!r}")

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
            "enforce": self.enforce,
            **({"tag": self._tag_options} if self.enforce == "pinned" else {}),
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
        request = dict(sample.request)
        request["messages"] = [_as_system(message) for message in request["messages"]]
        original: str | None = None
        if self.repair or self.source or self.enforce == "pinned":
            original = json.dumps({**request, "model": self.model})
            request["messages"] = self._repaired(sample.data_index, request)
        request["model"] = self.model
        request |= self.extra_body
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
        return Prepared(sample.data_index, key, body, stream, original, sample.request.get("tools"))

    @property
    def _tag_options(self) -> dict[str, Any]:
        return {
            "form": self.form,
            "max_calls": self.max_calls,
            "max_string": self.max_string,
            "loosen": self.loosen,
            "thinking": self.thinking,
        }

    def _repaired(self, data_index: int, request: Mapping[str, Any]) -> list[Any]:
        conversation = _conversation(data_index, request)
        if self.repair == "ids":
            conversation = repair.ids(conversation, model=self.model).conversation
        elif self.repair == "history":
            conversation = repair.history(conversation, model=self.model).conversation
        return list(conversation.messages)

    def _enforced(self, data_index: int, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return enforcer.attach(request, **self._tag_options)[0]
        except UnsupportedError as error:
            raise UnsupportedError(f"line {data_index} of the samples: {error}") from None
        except InputError as error:
            raise InputError(f"line {data_index} of the samples: {error}") from None

    def _by_hand(self, source: Source, data_index: int, request: Mapping[str, Any]) -> dict[str, Any]:
        from k2lab.render import render

        prompt = render(source, _conversation(data_index, request)).text
        kept = {key: value for key, value in request.items() if key not in CHAT_ONLY and key != "stream"}
        return {**kept, "prompt": prompt, "skip_special_tokens": False}


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


def _conversation(data_index: int, request: Mapping[str, Any]) -> Conversation:
    try:
        return Conversation.of(request["messages"], request.get("tools"))
    except ConversationError as error:
        raise InputError(f"line {data_index} of the samples: {error}") from None
