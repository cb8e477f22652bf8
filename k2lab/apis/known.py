"""The converters by API: a request or an answer of another API as one of the chat API."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from k2lab.apis import messages, responses
from k2lab.apis.records import Api, AsChat, OriginalPlaces

Convert = Callable[[Mapping[str, object]], AsChat]

REQUESTS: Mapping[Api, Convert] = {"responses": responses.request_of, "messages": messages.request_of}
ANSWERS: Mapping[Api, Convert] = {"responses": responses.answer_of, "messages": messages.answer_of}


def request_as_chat(api: Api, request: Mapping[str, object]) -> AsChat:
    """A request as one of the chat API; one of that API is itself.

    >>> request_as_chat("responses", {"model": "kimi-k2", "input": "Hi"}).value["messages"]
    [{'role': 'user', 'content': 'Hi'}]
    """
    return _converted(REQUESTS.get(api), request)


def answer_as_chat(api: Api, answer: Mapping[str, object]) -> AsChat:
    """An answer as one of the chat API; one of that API is itself.

    >>> said = {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
    >>> answer_as_chat("messages", said).value["choices"][0]["message"]["content"]
    'Hi'
    """
    return _converted(ANSWERS.get(api), answer)


def _converted(convert: Convert | None, value: Mapping[str, object]) -> AsChat:
    return AsChat(value=dict(value), origins=OriginalPlaces()) if convert is None else convert(value)
