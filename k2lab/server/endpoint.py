"""An OpenAI-compatible server: chat, complete, tokenize, detokenize, and what it lacks.

vLLM answers more than the OpenAI API asks for (token ids of prompts, tokenize,
detokenize); other servers do not. What a server lacks is a ``None`` with a
reason, never a traceback.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

from k2lab import families
from k2lab.apis.records import PATH_OF, Api
from k2lab.chat import PROMPT_PARAMETERS, Answer, Request
from k2lab.errors import EndpointError, InputError, UnsupportedError, first_line
from k2lab.families import Family
from k2lab.prompt.served import NOT_TOKENIZED, SHAPING, says_something, shaping
from k2lab.server.keys import Key
from k2lab.server.transport import TIMEOUT_S, UNKNOWN, Failed, Failure, checked_url, error_of

if TYPE_CHECKING:
    import openai

MOST_EVENTS = 20_000
"""Of a stream that is kept whole."""

RENDER, DERENDER = "/v1/chat/completions/render", "/v1/chat/completions/derender"
"""vLLM's paths for prompts and outputs alone: of ``vllm launch render``, and with ``--enable-scale-out``."""

JSON_HEADER = {"content-type": "application/json"}

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptIds:
    """The ids that a server makes of a chat request: how they were got, or why they cannot be known."""

    ids: tuple[int, ...] | None
    how: str


class Endpoint:
    """A server by its base URL.

    The key is read once, from ``OPENAI_API_KEY`` where none is given; it is never
    shown. There are no hidden retries: a failed request is seen. A whole answer
    has ``timeout_s`` seconds and at most 64 MiB. Raises :class:`InputError` for
    a URL or a key that cannot be; each request raises :class:`EndpointError` in
    one line where there is no answer. ``before`` is called before each request,
    and may raise.

    >>> request = k2lab.Request.of([{"role": "user", "content": "Hello"}])
    >>> k2lab.Endpoint(base_url).chat(request, temperature=0).content
    'hi'
    """

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.base_url = checked_url(base_url)
        self.timeout_s = timeout_s
        self._before = before
        self._model = model
        self._key = Key.of(api_key)

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r}, model={self._model!r})"

    @cached_property
    def client(self) -> openai.OpenAI:
        """An openai client, ``client.chat.completions.create(...)``; k2lab's own requests need none."""
        from k2lab.server.bounded import openai_client

        return openai_client(self.base_url, self._key, self.timeout_s)

    @property
    def root(self) -> str:
        """The URL above ``/v1``, where vLLM keeps ``/tokenize`` and ``/version``."""
        return self.base_url.removesuffix("/v1")

    @cached_property
    def model(self) -> str:
        """The model that was named, or the first one the server has."""
        if self._model:
            return self._model
        found = self.models()
        if not found:
            raise EndpointError(f"{self.base_url} lists no model: name one")
        return found[0]

    def models(self) -> list[str]:
        """Ids of the models that the server lists; what is none is passed over."""
        with self._told():
            return self._models()

    def version(self) -> str | None:
        """vLLM's version, where the server says it."""
        from k2lab.server import shapes

        try:
            said = shapes.shaped(self._sent(f"{self.root}/version", None), shapes.Version)
        except Failed:
            return None
        return self._key.masked(said.version)

    def chat(self, request: Request, **params: object) -> Answer:
        """``/chat/completions``, not streamed; ``params`` go over those that the request has."""
        return self._answer(f"{self.base_url}/chat/completions", self._body(request, params))

    def streamed(self, request: Request, **params: object) -> list[str]:
        """The data of each event of a streamed ``/chat/completions``, ``[DONE]`` too, as it came, without the key."""
        return self.asked_streamed("chat", self._body(request, params))

    def asked_streamed(self, api: Api, body: Mapping[str, object]) -> list[str]:
        """The same of a request as its API has it."""
        from k2lab.server.blocking import wait_for

        sent = self._encoded({**self._with_model(body), "stream": True})
        self._before()
        with self._told():
            return wait_for(self._events(self.base_url + PATH_OF[api], sent))

    def asked(self, api: Api, body: Mapping[str, object]) -> dict[str, object]:
        """What is answered to a request as its API has it, whole and as it came, without the key."""
        with self._told():
            return self._post(self.base_url + PATH_OF[api], self._with_model(body))

    def complete(self, prompt: str | Sequence[int], **params: object) -> Answer:
        """``/completions`` of a rendered prompt: the same model without the server's chat layer.

        Special tokens are kept in the text, as the markers of a call are what is looked for.
        """
        sent = prompt if isinstance(prompt, str) else list(prompt)
        body = {"model": self.model, "prompt": sent, "skip_special_tokens": False, **params}
        return self._answer(f"{self.base_url}/completions", body)

    def tokenize(self, request: Request, **params: object) -> list[int]:
        """vLLM's ``/tokenize`` of a chat request; raises :class:`UnsupportedError` where there is none."""
        with self._told("/tokenize"):
            return list(self._tokenized(request, params))

    def detokenize(self, ids: Sequence[int]) -> str:
        """vLLM's ``/detokenize``; raises :class:`UnsupportedError` where there is none."""
        from k2lab.server import shapes

        with self._told("/detokenize"):
            said = self._post(f"{self.root}/detokenize", {"model": self.model, "tokens": list(ids)})
            return shapes.shaped(said, shapes.Prompt).prompt

    def derender(self, ids: Sequence[int], tools: Sequence[Mapping[str, object]]) -> Answer:
        """What vLLM's parser makes of output ids; raises :class:`UnsupportedError` where that is not served."""
        request = {"model": self.model, "messages": [{"role": "user", "content": ""}], "tools": list(tools)}
        choice = {"index": 0, "token_ids": list(ids), "finish_reason": "stop"}
        body = {"model": self.model, "generate_response": {"choices": [choice]}, "chat_request": request}
        with self._told(DERENDER):
            return self._read(self._post(self.root + DERENDER, body))

    def prompt_ids(self, request: Request, *, family: Family | None = None, **params: object) -> PromptIds:
        """The ids of the prompt that the server itself makes: ``return_token_ids``, or a path that makes prompts.

        What is not a list of ids, or of another length than the server itself
        counts, is none: then they cannot be known, and each way says why. ``family``
        is the model's, by default as its name says: which fields of a request shape
        its prompts. One that a way leaves out is named in ``how``; where the
        prompt would surely be another without it, the way is not gone.
        """
        whose = family or families.of_model(self._named(request))
        params = {**shaping(request, whose), **params}
        ways: Mapping[str, Callable[..., tuple[int, ...]]] = {
            "return_token_ids": self._returned,
            "/tokenize": partial(self._all_tokenized, family=whose),
            RENDER: self._rendered,
        }
        shapeless = SHAPING if whose is None else ()
        left_out = {"return_token_ids": shapeless, "/tokenize": NOT_TOKENIZED, RENDER: shapeless}
        reasons = []
        for how, ask in ways.items():
            with self._told():
                try:
                    return PromptIds(ids=ask(request, params), how=how + _without(request, left_out[how]))
                except Failed as failed:
                    if not _is_lack(failed.failure):
                        raise
                    reasons.append(f"{how}: {failed.failure.detail}")
        how = f"{self.base_url} gives no ids of its prompt ({'; '.join(reasons)}): it cannot be known"
        return PromptIds(ids=None, how=self._key.masked(how))

    def _returned(self, request: Request, params: Mapping[str, object]) -> tuple[int, ...]:
        """The ids that come with an answer."""
        from k2lab.server import shapes

        body = self._body(_prompt_of(request), {"max_tokens": 1, "return_token_ids": True, **params})
        data = self._post(f"{self.base_url}/chat/completions", body)
        answer = self._read(data)
        choices = data["choices"]
        assert isinstance(choices, list)
        given = data.get("prompt_token_ids")
        return shapes.token_ids(choices[0].get("prompt_token_ids") if given is None else given,
                                answer.usage.get("prompt_tokens"))  # fmt: skip

    def _all_tokenized(
        self, request: Request, params: Mapping[str, object], *, family: Family | None
    ) -> tuple[int, ...]:
        """The ids of ``/tokenize``, unless it leaves out what is surely a part of the prompt."""
        lost = _without(request, NOT_TOKENIZED) if family is not None and family.renders == "xtml" else ""
        if lost:
            raise Failed.of("incomplete", f"it would be another prompt{lost}; it reads chat_template_kwargs")
        return self._tokenized(request, params)

    def _rendered(self, request: Request, params: Mapping[str, object]) -> tuple[int, ...]:
        """The ids that vLLM's renderer makes, where that is served."""
        from k2lab.server import shapes

        said = self._post(f"{self.root}{RENDER}", self._body(_prompt_of(request), params))
        return shapes.token_ids(said.get("token_ids"))

    def _tokenized(self, request: Request, params: Mapping[str, object]) -> tuple[int, ...]:
        """The ids of ``/tokenize``."""
        from k2lab.server import shapes

        said = self._post(f"{self.root}/tokenize", self._body(_prompt_of(request), params))
        got = shapes.shaped(said, shapes.Tokens)
        return shapes.token_ids(got.tokens, got.count)

    def _models(self) -> list[str]:
        from k2lab.server import shapes

        found = []
        for item in shapes.shaped(self._sent(f"{self.base_url}/models", None), shapes.Listed).data:
            with contextlib.suppress(Failed):
                found.append(shapes.shaped(item, shapes.Model).id)
        return [name for name in found if not self._key.stands_in(name)]

    def _body(self, request: Request, params: Mapping[str, object]) -> dict[str, object]:
        body = {key: value for key, value in request.to_json().items() if key not in ("stream", "stream_options")}
        if not body["tools"]:
            del body["tools"]
        return {**body, "model": self._named(request), **params}

    def _with_model(self, body: Mapping[str, object]) -> dict[str, object]:
        return {**body} if "model" in body else {**body, "model": self.model}

    def _named(self, request: Request) -> str:
        return self._model or request.model or self.model

    def _answer(self, url: str, body: Mapping[str, object]) -> Answer:
        started = time.perf_counter()
        with self._told():
            response = self._post(url, body)
            return self._read(response, latency_ms=(time.perf_counter() - started) * 1000)

    def _read(self, response: Mapping[str, object], *, latency_ms: float | None = None) -> Answer:
        from k2lab.server import shapes

        shapes.answer_of(response)
        return Answer.of(response, latency_ms=latency_ms)

    def _post(self, url: str, body: Mapping[str, object]) -> dict[str, object]:
        return self._sent(url, self._encoded(body))

    def _encoded(self, body: Mapping[str, object]) -> bytes:
        try:
            return json.dumps(body).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"this request cannot be sent, as it is not JSON: {first_line(error)}") from None

    def _sent(self, url: str, content: bytes | None) -> dict[str, object]:
        """The JSON object that answers a request, one without a content is a GET; raises :class:`Failed`."""
        from k2lab.server import shapes
        from k2lab.server.blocking import wait_for

        self._before()
        return shapes.json_object(wait_for(self._whole(url, content)), self._key)

    async def _whole(self, url: str, content: bytes | None) -> bytes:
        from k2lab.server.session import Session

        async with Session(self.base_url, self._key, timeout_s=self.timeout_s) as session:
            return await session.whole(url, content)

    async def _events(self, url: str, content: bytes) -> list[str]:
        from k2lab.server.session import Session, events

        async with (
            Session(self.base_url, self._key, timeout_s=self.timeout_s) as session,
            session.answered(url, content) as answer,
        ):
            found: list[str] = []
            async for event in events(answer):
                if len(found) == MOST_EVENTS:
                    raise Failed.of("garbage", f"a stream of more than {MOST_EVENTS} events")
                found.append(self._key.masked(event.decode("utf-8", "replace")))
            return found

    @contextlib.contextmanager
    def _told(self, path: str = "") -> Iterator[None]:
        """A failure as the error of one line; of a ``path`` that is vLLM's own, a server may lack it."""
        try:
            yield
        except Failed as failed:  # from None: what it came of may repeat the key
            error = error_of(self.base_url, failed.failure, self._key)
            if path and _is_lack(failed.failure):
                raise UnsupportedError(f"{self.root} has no {path}: {error}") from None
            raise error from None


def in_parallel(call: Callable[[Item], Result], items: Iterable[Item], *, concurrency: int = 8) -> list[Result]:
    """Results in the order of the items, ``concurrency`` at a time; the first error ends it."""
    with ThreadPoolExecutor(concurrency) as pool:
        futures = [pool.submit(call, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _prompt_of(request: Request) -> Request:
    """The request with those of its parameters alone that may shape its prompt."""
    kept = {"model", *PROMPT_PARAMETERS}
    return replace(request, parameters={k: v for k, v in request.parameters.items() if k in kept})


def _without(request: Request, names: Sequence[str]) -> str:
    """Those of the names that a request says something under, in words; nothing where there are none."""
    said = [name for name in names if says_something(request.parameters.get(name))]
    return f", without the request's {' and '.join(said)}" if said else ""


def _is_lack(failure: Failure) -> bool:
    """Whether a server does not know a path or a parameter, or makes something else of it."""
    return failure.kind in ("garbage", "incomplete") or failure.status in UNKNOWN
