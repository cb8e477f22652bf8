"""Files of requests and tools, and the forms in which people have them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from k2lab import files, jsonread
from k2lab.chat.checks import Tool, checked_tool, kind, listed, mapping
from k2lab.chat.requests import Request
from k2lab.errors import RequestError


def load(path: str | Path) -> Request:
    """Read a conversation file: a chat request, or ``{"messages": [...], "tools": [...]}``, or a list of messages.

    Raises :class:`RequestError` with the file and the place of the fault.

    >>> from pathlib import Path
    >>> written = Path("request.json").write_text('[{"role": "user", "content": "Hello"}]')
    >>> k2lab.load("request.json").messages
    ({'role': 'user', 'content': 'Hello'},)
    """
    data = _read_json(path, "conversation")
    try:
        return request_of(data)
    except RequestError as error:
        raise RequestError(f"conversation {path}: {error}") from None


def load_tools(path: str | Path) -> tuple[Tool, ...]:
    """Read a file of tools: a list of them, or a conversation's ``{"tools": [...]}``."""
    try:
        return tools_of(_read_json(path, "tools file"))
    except RequestError as error:
        raise RequestError(f"tools file {path}: {error}") from None


def tools_of(data: object) -> tuple[Tool, ...]:
    """Tools from decoded JSON, a list of them or an object with ``tools``; raises with the place of what is none."""
    tools = data.get("tools") if isinstance(data, Mapping) else data
    return tuple(checked_tool(index, item) for index, item in enumerate(listed("tools", tools)))


def holds_messages(path: str | Path) -> bool:
    """Whether a file, such as one of tools, is a whole chat request."""
    data = _read_json(path, "file")
    return isinstance(data, Mapping) and "messages" in data


def request_of(data: object) -> Request:
    """A conversation from decoded JSON.

    An ``extra_body``, which the openai client puts over the fields of the request, is put over them here.
    """
    if isinstance(data, list):
        return Request.of(data)
    if not isinstance(data, Mapping):
        raise RequestError(f'expected {{"messages": [...], "tools": [...]}}, found {kind(data)}')
    if "messages" not in data:
        raise RequestError('no "messages": expected {"messages": [...], "tools": [...]}')
    fields = {**data, **mapping("extra_body", data.get("extra_body"))}
    parameters = {key: value for key, value in fields.items() if key not in ("messages", "tools", "extra_body")}
    return Request.of(fields["messages"], fields.get("tools"), parameters)


def _read_json(path: str | Path, what: str) -> object:
    data = files.read_json(path, what, error=RequestError)
    lone = jsonread.lone_surrogate(data)
    if lone is not None:
        raise RequestError(
            f"{what} {path}: {ascii(lone)[:80]} holds half a surrogate pair, which no server takes as text"
        )
    return data
