"""An OpenAI-compatible server: chat, complete, tokenize, detokenize, and what it lacks.

vLLM answers more than the OpenAI API asks for (token ids of prompts, tokenize,
detokenize); other servers do not. What a server lacks is a ``None`` with a
reason, never a traceback.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from k2lab.chat import PROMPT_PARAMETERS, Answer, Request
from k2lab.errors import EndpointError, InputError, UnsupportedError, first_line

if TYPE_CHECKING:
    import openai

TIMEOUT_S = 120.0
CONNECT_TIMEOUT_S = 5.0
NO_KEY = "none"
KEY_VARIABLE = "OPENAI_API_KEY"

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptIds:
    """The ids that a server makes of a chat request: how they were got, or why they cannot be known."""

    ids: tuple[int, ...] | None
    how: str


class Endpoint:
    """A server by its base URL.

    The key is read from ``OPENAI_API_KEY`` where none is given; it is never
    shown. There are no hidden retries: a failed request is seen.
    """

    def __init__(
        self, base_url: str, model: str | None = None, *, api_key: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.base_url = checked_url(base_url)
        self._model = model
        self._api_key = api_key
        self.timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r}, model={self._model!r})"

    @cached_property
    def client(self) -> openai.OpenAI:
        """The openai client underneath."""
        import openai

        key = self._api_key or os.environ.get(KEY_VARIABLE) or NO_KEY
        timeout = openai.Timeout(self.timeout_s, connect=CONNECT_TIMEOUT_S)
        return openai.OpenAI(base_url=self.base_url, api_key=key, max_retries=0, timeout=timeout)

    @property
    def root(self) -> str:
        """The URL above ``/v1``, where vLLM keeps ``/tokenize`` and ``/version``."""
        return self.base_url.rstrip("/").removesuffix("/v1")

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
        return [model.id for model in self._call(lambda: self.client.models.list()).data]

    def version(self) -> str | None:
        """vLLM's version, where the server says it."""
        try:
            return str(self._post_or_get("/version", None)["version"])
        except (EndpointError, KeyError, TypeError):
            return None

    def chat(self, request: Request, **params: Any) -> Answer:
        """``/chat/completions``, not streamed; ``params`` go over those that the request has."""
        return self._answer(f"{self.base_url}/chat/completions", self._body(request, params))

    def _body(self, request: Request, params: Mapping[str, Any]) -> dict[str, Any]:
        body = {key: value for key, value in request.to_json().items() if key not in ("stream", "stream_options")}
        if not body["tools"]:
            del body["tools"]
        return {**body, "model": self._model or request.model or self.model, **params}

    def complete(self, prompt: str | Sequence[int], **params: Any) -> Answer:
        """``/completions`` of a rendered prompt: the same model without the server's chat layer.

        Special tokens are kept in the text, as the markers of a call are what is looked for.
        """
        body = {
            "model": self.model,
            "prompt": prompt if isinstance(prompt, str) else list(prompt),
            "skip_special_tokens": False,
            **params,
        }
        return self._answer(f"{self.base_url}/completions", body)

    def _answer(self, url: str, body: Mapping[str, Any]) -> Answer:
        started = time.perf_counter()
        response = self._post_or_get(url, body)
        return _read(response, latency_ms=(time.perf_counter() - started) * 1000)

    def tokenize(self, request: Request, **params: Any) -> list[int]:
        """vLLM's ``/tokenize`` of a chat request; raises :class:`UnsupportedError` where there is none."""
        body = self._body(_prompt_of(request), params)
        return [int(token) for token in self._own("/tokenize", body)["tokens"]]

    def detokenize(self, ids: Sequence[int]) -> str:
        """vLLM's ``/detokenize``; raises :class:`UnsupportedError` where there is none."""
        return str(self._own("/detokenize", {"model": self.model, "tokens": list(ids)})["prompt"])

    def derender(self, ids: Sequence[int], tools: Sequence[Mapping[str, Any]]) -> Answer:
        """What vLLM's parser makes of output ids; raises :class:`UnsupportedError` where that is not served."""
        request = {"model": self.model, "messages": [{"role": "user", "content": ""}], "tools": list(tools)}
        choice = {"index": 0, "token_ids": list(ids), "finish_reason": "stop"}
        body = {"model": self.model, "generate_response": {"choices": [choice]}, "chat_request": request}
        return _read(self._own("/v1/chat/completions/derender", body))

    def prompt_ids(self, request: Request, **params: Any) -> PromptIds:
        """The ids of the prompt that the server itself makes: ``return_token_ids``, else ``/tokenize``."""
        try:
            answer = self.chat(_prompt_of(request), max_tokens=1, return_token_ids=True, **params)
            if answer.prompt_ids is not None:
                return PromptIds(ids=answer.prompt_ids, how="return_token_ids")
        except EndpointError as error:
            if not _rejected(error):
                raise
        try:
            return PromptIds(ids=tuple(self.tokenize(request, **params)), how="/tokenize")
        except UnsupportedError:
            how = f"{self.base_url} has neither return_token_ids nor /tokenize: it cannot be known"
            return PromptIds(ids=None, how=how)

    def _own(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A path that is vLLM's own; a server without it raises :class:`UnsupportedError`."""
        try:
            return self._post_or_get(path, body)
        except EndpointError as error:
            if _rejected(error):
                raise UnsupportedError(f"{self.root} has no {path}: {error}") from error
            raise

    def _post_or_get(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        url = path if "://" in path else self.root + path
        if body is None:
            answer = self._call(lambda: self.client.get(url, cast_to=object))
        else:
            answer = self._call(lambda: self.client.post(url, cast_to=object, body=dict(body)))
        if not isinstance(answer, dict):
            raise EndpointError(f"{url} answered something that is not a JSON object: is it an OpenAI-compatible API?")
        return answer

    def _call(self, request: Callable[[], Result]) -> Result:
        import openai

        try:
            return request()
        except openai.APITimeoutError as error:
            raise EndpointError(f"no answer from {self.base_url} within {self.timeout_s:.0f} s") from error
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise EndpointError(
                f"nobody answers at {self.base_url} ({first_line(cause)}): start a server or check the URL"
            ) from error
        except openai.APIStatusError as error:
            raise self._status_error(error) from None
        except (openai.OpenAIError, ValueError) as error:
            raise EndpointError(f"{self.base_url} answered what cannot be read: {first_line(error)}") from error

    def _status_error(self, error: openai.APIStatusError) -> StatusError:
        body = error.body
        detail = body.get("message") if isinstance(body, Mapping) else None
        text = first_line(detail or error.message)
        if self.client.api_key != NO_KEY:
            text = text.replace(self.client.api_key, "***")  # a server may repeat the key that it refuses
        status = error.status_code
        return StatusError(f"{self.base_url} answered {status}: {text}{STATUS_HINTS.get(status, '')}", status)


def in_parallel(call: Callable[[Item], Result], items: Iterable[Item], *, concurrency: int = 8) -> list[Result]:
    """Results in the order of the items, ``concurrency`` at a time; the first error ends it."""
    with ThreadPoolExecutor(concurrency) as pool:
        futures = [pool.submit(call, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class StatusError(EndpointError):
    """The server refused a request; ``status`` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def _rejected(error: EndpointError) -> bool:
    """Whether the server answered that it does not know this path or parameter."""
    return isinstance(error, StatusError) and error.status in (400, 404, 405, 422, 501)


STATUS_HINTS = {
    401: f"; set {KEY_VARIABLE}",
    403: f"; check {KEY_VARIABLE}",
    404: "; check the URL and the model",
}


def checked_url(base_url: str) -> str:
    """A base URL without a slash at its end; raises :class:`InputError` for what is none, or holds a key."""
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that there cannot be
        usable = False
    if not usable:
        raise InputError(f"{base_url!r} is no base URL: it looks like http://127.0.0.1:8000/v1")
    if parts.username or parts.password:
        raise InputError(f"keep keys out of the base URL: set {KEY_VARIABLE} instead")
    return base_url.rstrip("/")


def _prompt_of(request: Request) -> Request:
    """The request with those of its parameters alone that may shape its prompt."""
    kept = {"model", *PROMPT_PARAMETERS}
    return replace(request, parameters={k: v for k, v in request.parameters.items() if k in kept})


def _read(response: Mapping[str, Any], *, latency_ms: float | None = None) -> Answer:
    """The answer of a response; raises :class:`EndpointError` for one that holds none."""
    choices = response.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise EndpointError("the server's answer has no choices: is it an OpenAI-compatible API?")
    return Answer.of(response, latency_ms=latency_ms)
