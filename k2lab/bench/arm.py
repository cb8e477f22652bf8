"""An arm of a benchmark: where requests go and how they are changed on the way.

Everything that shapes the answer is in :meth:`Arm.config`, whose digest is part
of each request's key: an answer is reused for the same key and for no other.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from k2lab import enforcer, repairs
from k2lab.bench.samples import Sample
from k2lab.chat import CHAT_ONLY, Request, Tool, with_system_role
from k2lab.errors import InputError, RenderError, UnsupportedError
from k2lab.server.transport import checked_url

if TYPE_CHECKING:
    from k2lab.prompt.source import Source

Repair = Literal["", "ids", "history"]
Enforce = Literal["off", "server-function", "server-parameter", "pinned"]

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

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
    tools: Sequence[Tool] | None = None


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

    >>> arm = k2lab.Arm(name="mended", base_url=base_url, model="kimi-k2", repair="history", extra_body={"seed": 1})
    >>> arm.config()["repair"], arm.url.endswith("/v1/chat/completions")
    ('history', True)
    """

    name: str
    base_url: str
    model: str
    stream: bool | None = None
    repair: Repair = ""
    extra_body: Mapping[str, object] = field(default_factory=dict)
    source: Source | None = None
    serves: str = ""
    enforce: Enforce = "off"
    tag: enforcer.Options = enforcer.Options()  # noqa: RUF009 - frozen
    template_kwargs: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked_url(self.base_url)
        if not self.name or not self.name.isprintable():
            raise InputError(f"an arm needs a printable name, not {self.name!r}")
        if "messages" in self.extra_body:
            raise InputError("extra_body holds messages, which would make all requests one: leave them out")
        if not isinstance(self.extra_body.get("tools") or [], list | tuple):
            raise InputError("tools of extra_body must be a list, as in a chat request")

    @property
    def url(self) -> str:
        """Where requests are posted."""
        return f"{self.base_url.rstrip('/')}/{'completions' if self.source else 'chat/completions'}"

    def config(self) -> dict[str, object]:
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
        try:
            return self._prepared(sample)
        except UnsupportedError as error:
            raise UnsupportedError(f"line {sample.data_index} of the samples: {error}") from None
        except (InputError, RenderError) as error:
            raise InputError(f"line {sample.data_index} of the samples: {error}") from None

    def _prepared(self, sample: Sample) -> Prepared:
        fields = {**sample.request, "model": self.model, **self.extra_body}
        original, request = None, self._asked(fields)
        if self._changes:
            original = json.dumps(_in_order(request, fields))
            checked = Request.of(request.messages, request.tools, request.parameters)
            request = self._enforced(self._repaired(checked, sample.data_index))
        request = self._streamed(request)
        body = _json(self._by_hand(self.source, request) if self.source else _in_order(request, fields))
        return Prepared(
            data_index=sample.data_index,
            key=hashlib.sha256(self.digest.encode() + body).hexdigest(),
            body=body,
            stream=bool(request.parameters.get("stream")) and not self.source,
            original=original,
            tools=fields.get("tools"),
        )

    @property
    def _changes(self) -> bool:
        """Whether more is done to a request than to put fields over its own."""
        return bool(self.repair or self.source) or self.enforce == "pinned"

    def _asked(self, fields: Mapping[str, Any]) -> Request:
        """The request that is wished, not yet checked: what is sent as it is, the server judges."""
        request = Request(
            messages=tuple(map(with_system_role, fields["messages"])),
            tools=tuple(fields.get("tools") or ()),
            parameters={name: value for name, value in fields.items() if name not in ("messages", "tools")},
        )
        if self.template_kwargs and not isinstance(request.template_kwargs, Mapping):
            raise InputError("chat_template_kwargs must be an object")
        return request.with_template_kwargs(self.template_kwargs)

    def _repaired(self, request: Request, data_index: int) -> Request:
        if self.repair == "ids":
            return repairs.renumber(request, model=self.model).request
        if self.repair == "history":
            repaired = repairs.repair(request, model=self.model)
            if repaired.problems:
                first = f"line {data_index}: {repaired.problems[0]}"
                self._tell("repair", f"some histories keep problems that repair cannot mend, the first in {first}")
            return repaired.request
        return request

    def _enforced(self, request: Request) -> Request:
        return enforcer.attach(request, options=self.tag) if self.enforce == "pinned" else request

    def _streamed(self, request: Request) -> Request:
        asked = request.parameters
        if self.stream is None and not asked.get("stream") and "stream_options" not in asked:
            return request
        parameters = dict(asked)
        if self.stream is not None:
            parameters["stream"] = self.stream
        if parameters.get("stream"):
            given = parameters.get("stream_options")
            parameters["stream_options"] = {"include_usage": True, **(given if isinstance(given, Mapping) else {})}
        else:  # servers refuse it with a request that is not streamed
            parameters.pop("stream_options", None)
        return replace(request, parameters=parameters)

    def _by_hand(self, source: Source, request: Request) -> dict[str, object]:
        from k2lab.prompt.rendering import prompt_of

        prompt = prompt_of(source, request)
        for note in prompt.provenance.notes:
            self._tell(note, f"prompts rendered by hand: {note}")
        kept = {name: value for name, value in request.parameters.items() if name not in CHAT_ONLY}
        sent = prompt.sent if isinstance(prompt.sent, str) else list(prompt.sent)
        return {**kept, "prompt": sent, "skip_special_tokens": False}

    @cached_property
    def _told(self) -> set[str]:
        return set()

    def _tell(self, kind: str, note: str) -> None:
        """A warning of each kind once."""
        if kind not in self._told:
            self._told.add(kind)
            logging.getLogger(__name__).warning(note)


def digest_of(value: object) -> str:
    """sha256 of JSON data, the order of keys aside."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _json(value: object) -> bytes:
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8, but an escape
        return json.dumps(value, separators=(",", ":")).encode()


def _in_order(request: Request, fields: Mapping[str, object]) -> dict[str, object]:
    """A request as JSON data, its messages and tools where they stand among ``fields``, of which it was made.

    Tools that are ``null`` or an empty list stay what they are.
    """
    made: dict[str, object] = {}
    names = iter(request.parameters)
    following = next(names, None)
    for name, value in fields.items():
        if name == following:  # what was dropped is passed over, what was added comes last
            made[name] = request.parameters[name]
            following = next(names, None)
        elif name == "messages":
            made[name] = request.messages
        elif name == "tools":
            made[name] = request.tools or value
    return {**made, **request.parameters}
