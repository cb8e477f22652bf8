"""An OpenAI-compatible server: chat, complete, tokenize, detokenize, and what it lacks.

vLLM answers more than the OpenAI API asks for (token ids of prompts, tokenize,
detokenize); other servers do not. What a server lacks is a ``None`` with a
reason, never a traceback.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from k2lab.chat import PROMPT_PARAMETERS, Answer, Request
from k2lab.errors import EndpointError, InputError, UnsupportedError, first_line
from k2lab.server.transport import TIMEOUT_S, Failure, Key, StatusError, checked_url, error_of, plain

if TYPE_CHECKING:
    import openai

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
    one line where there is no answer.

    >>> request = k2lab.Request.of([{"role": "user", "content": "Hello"}])
    >>> k2lab.Endpoint(base_url).chat(request, temperature=0).content
    'hi'
    """

    def __init__(
        self, base_url: str, model: str | None = None, *, api_key: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.base_url = checked_url(base_url)
        self.timeout_s = timeout_s
        self._model = model
        self._key = Key.of(api_key)

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r}, model={self._model!r})"

    @cached_property
    def client(self) -> openai.OpenAI:
        """The openai client underneath, for all that it can: ``client.chat.completions.create(...)``."""
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
        """Ids of the models that the server lists."""
        listed = self._get(f"{self.base_url}/models").get("data")
        items = listed if isinstance(listed, list) else []
        return [str(item["id"]) for item in items if isinstance(item, Mapping) and item.get("id")]

    def version(self) -> str | None:
        """vLLM's version, where the server says it."""
        try:
            said = self._get(f"{self.root}/version").get("version")
        except EndpointError:
            return None
        return None if said is None else str(said)

    def chat(self, request: Request, **params: object) -> Answer:
        """``/chat/completions``, not streamed; ``params`` go over those that the request has."""
        return self._answer(f"{self.base_url}/chat/completions", self._body(request, params))

    def complete(self, prompt: str | Sequence[int], **params: object) -> Answer:
        """``/completions`` of a rendered prompt: the same model without the server's chat layer.

        Special tokens are kept in the text, as the markers of a call are what is looked for.
        """
        sent = prompt if isinstance(prompt, str) else list(prompt)
        body = {"model": self.model, "prompt": sent, "skip_special_tokens": False, **params}
        return self._answer(f"{self.base_url}/completions", body)

    def tokenize(self, request: Request, **params: object) -> list[int]:
        """vLLM's ``/tokenize`` of a chat request; raises :class:`UnsupportedError` where there is none."""
        tokens = self._own("/tokenize", self._body(_prompt_of(request), params)).get("tokens")
        if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
            raise self._unreadable("/tokenize gave no list of tokens")
        return tokens

    def detokenize(self, ids: Sequence[int]) -> str:
        """vLLM's ``/detokenize``; raises :class:`UnsupportedError` where there is none."""
        text = self._own("/detokenize", {"model": self.model, "tokens": list(ids)}).get("prompt")
        if not isinstance(text, str):
            raise self._unreadable("/detokenize gave no text")
        return text

    def derender(self, ids: Sequence[int], tools: Sequence[Mapping[str, object]]) -> Answer:
        """What vLLM's parser makes of output ids; raises :class:`UnsupportedError` where that is not served."""
        request = {"model": self.model, "messages": [{"role": "user", "content": ""}], "tools": list(tools)}
        choice = {"index": 0, "token_ids": list(ids), "finish_reason": "stop"}
        body = {"model": self.model, "generate_response": {"choices": [choice]}, "chat_request": request}
        return self._read(self._own("/v1/chat/completions/derender", body))

    def prompt_ids(self, request: Request, **params: object) -> PromptIds:
        """The ids of the prompt that the server itself makes: ``return_token_ids``, else ``/tokenize``."""
        asked = {"max_tokens": 1, "return_token_ids": True, **params}
        try:
            answer = self.chat(_prompt_of(request), **asked)
            if answer.prompt_ids is not None:
                return PromptIds(ids=answer.prompt_ids, how="return_token_ids")
        except StatusError as error:
            if not error.unknown:
                raise
        try:
            return PromptIds(ids=tuple(self.tokenize(request, **params)), how="/tokenize")
        except UnsupportedError:
            how = f"{self.base_url} has neither return_token_ids nor /tokenize: it cannot be known"
            return PromptIds(ids=None, how=how)

    def _body(self, request: Request, params: Mapping[str, object]) -> dict[str, object]:
        body = {key: value for key, value in request.to_json().items() if key not in ("stream", "stream_options")}
        if not body["tools"]:
            del body["tools"]
        return {**body, "model": self._model or request.model or self.model, **params}

    def _answer(self, url: str, body: Mapping[str, object]) -> Answer:
        started = time.perf_counter()
        response = self._post(url, body)
        return self._read(response, latency_ms=(time.perf_counter() - started) * 1000)

    def _read(self, response: Mapping[str, object], *, latency_ms: float | None = None) -> Answer:
        choices = response.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            raise self._unreadable("an answer without choices")
        return Answer.of(response, latency_ms=latency_ms)

    def _own(self, path: str, body: Mapping[str, object]) -> dict[str, object]:
        """A path that is vLLM's own; a server without it raises :class:`UnsupportedError`."""
        try:
            return self._post(self.root + path, body)
        except StatusError as error:
            if error.unknown:
                raise UnsupportedError(f"{self.root} has no {path}: {error}") from None
            raise

    def _get(self, url: str) -> dict[str, object]:
        return self._sent(url, None)

    def _post(self, url: str, body: Mapping[str, object]) -> dict[str, object]:
        try:
            content = json.dumps(body).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"this request cannot be sent, as it is not JSON: {first_line(error)}") from None
        return self._sent(url, content)

    def _sent(self, url: str, content: bytes | None) -> dict[str, object]:
        """The JSON object that answers a request; one without a content is a GET."""
        text = self._text(url, content)
        try:
            data: object = json.loads(text)
        except (ValueError, RecursionError):
            raise self._unreadable(f"not JSON: {plain(text[:80])!r}") from None
        if not isinstance(data, dict):
            raise self._unreadable(f"not a JSON object: {plain(text[:80])!r}")
        return data

    def _text(self, url: str, content: bytes | None) -> str:
        import openai

        from k2lab.server.bounded import failure_of

        try:
            if content is None:
                return self.client.get(url, cast_to=str)
            return self.client.post(url, cast_to=str, content=content, options={"headers": JSON_HEADER})
        except (openai.OpenAIError, ValueError) as error:  # from None: what it came of may repeat the key
            raise error_of(self.base_url, failure_of(error, self.timeout_s), self._key) from None

    def _unreadable(self, detail: str) -> EndpointError:
        return error_of(self.base_url, Failure(kind="garbage", detail=detail), self._key)


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
