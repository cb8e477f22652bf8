"""The door: what a server sends is of the shape that the rooms behind it count on, or is told with its place.

A model may write anything, so a call and its arguments are let through as they
are; that the API's own fields hold what the API says is the server's part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from k2lab.jsonread import NotJSON, read_json
from k2lab.server.keys import Key
from k2lab.server.transport import Failed, plain

LONGEST_WORD = 64
"""Characters of a finish reason."""

TokenId = Annotated[int, Meta(ge=0, lt=1 << 31)]
TokenIds = Annotated[Sequence[TokenId], Meta(min_length=1)]
Word = Annotated[str, Meta(max_length=LONGEST_WORD, pattern=r"^[ -~]*$")]
Text = str | list[Any] | None

Shape = TypeVar("Shape")


class Message(Struct):
    """What was said; a call is whatever the model wrote."""

    content: Text = None
    reasoning_content: Text = None
    reasoning: Text = None
    refusal: Text = None
    tool_calls: list[Any] | None = None
    function_call: Any = None


class Choice(Struct):
    """The first of an answer's choices, of a chat or of a completion."""

    message: Message | None = None
    text: str | None = None
    finish_reason: Word | None = None


class Response(Struct):
    """An answer; of several choices the first counts."""

    choices: Annotated[list[Any], Meta(min_length=1)]


class Tokens(Struct):
    """vLLM's answer of ``/tokenize``."""

    tokens: Any
    count: Any = None


class Listed(Struct):
    """A list of models."""

    data: list[Any]


class Model(Struct):
    """One of them."""

    id: Annotated[str, Meta(min_length=1, max_length=500)]


class Prompt(Struct):
    """vLLM's answer of ``/detokenize``."""

    prompt: str


class Version(Struct):
    """vLLM's answer of ``/version``."""

    version: Word


def json_object(data: bytes | str, key: Key) -> dict[str, object]:
    """The JSON object that a text is; raises :class:`Failed` where it is none, the key masked."""
    try:
        value = read_json(data)
    except NotJSON as error:
        raise Failed.of("garbage", f"not JSON: {_shown(data, key)!r} ({error})") from None
    if not isinstance(value, dict):
        raise Failed.of("garbage", f"not a JSON object: {_shown(data, key)!r}")
    return value


def shaped(value: object, kind: type[Shape], where: str = "$") -> Shape:
    """A value as a record of its fields; raises :class:`Failed` with the place of what is otherwise."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeError) as error:  # the latter for a lone surrogate in the wrong place
        raise Failed.of("garbage", f"an answer of another shape: {_placed(error, where)}") from None
    except RecursionError:  # behind a caller that has used up the stack
        raise Failed.of("garbage", "an answer that is nested too deeply") from None


def answer_of(data: Mapping[str, object]) -> Choice:
    """The checked first choice of an answer; raises :class:`Failed` with the place of what is otherwise."""
    if data.get("choices") in (None, []):
        raise Failed.of("garbage", "an answer without choices")
    return shaped(shaped(data, Response).choices[0], Choice, "$.choices[0]")


def token_ids(value: object, count: object = None) -> tuple[int, ...]:
    """The ids of a prompt, which a server may count, too; raises :class:`Failed` for what cannot be them.

    >>> token_ids([163584, 2482], 2)
    (163584, 2482)
    """
    if value is None:
        raise Failed.of("garbage", "no ids came")
    if value == []:
        raise Failed.of("garbage", "a list without ids came")
    try:
        ids = msgspec.convert(value, TokenIds)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise Failed.of("garbage", f"no token ids came: {_placed(error, 'ids')}") from None
    if type(count) is int and count != len(ids):
        raise Failed.of("garbage", f"{len(ids)} ids came, and the server counts {count}")
    return tuple(ids)


def _placed(error: Exception, where: str) -> str:
    if isinstance(error, UnicodeError):
        return f"half a surrogate pair - at `{where}`"
    said = plain(error).replace("matching regex '^[ -~]*$'", "of printable ASCII")
    return said.replace("`$", f"`{where}", 1) if "`$" in said else f"{said} - at `{where}`"


def _shown(data: bytes | str, key: Key) -> str:
    head = data[:4096]
    text = key.masked(head if isinstance(head, str) else head.decode("utf-8", "replace")).strip()
    return plain(text)[:80] if text else ""
