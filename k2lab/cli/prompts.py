"""Commands on one prompt: rendered here, asked of a server, compared token by token, probed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from k2lab import chat
from k2lab.cli.common import (
    BASE_URL,
    CONVERSATION,
    FLAG,
    MODEL,
    SOURCE_HELP,
    TEMPLATE_KWARGS,
    TRUST,
    conversation_of,
    print_json,
    print_notes,
)

DEFAULT_MAX_TOKENS = 256
MAX_TOKENS = click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    default=None,
    help=f"Of the answer; the request's own where left out, else {DEFAULT_MAX_TOKENS}.",
)


@click.command()
@click.option("--source", required=True, help=SOURCE_HELP)
@CONVERSATION
@FLAG
@TEMPLATE_KWARGS
@click.option("--tokenizer", default=None, help="A source whose tokenizer gives the ids, for a source that has none.")
@TRUST
def render(
    source: str,
    conversation: Path,
    no_generation_prompt: bool,
    template_kwargs: str,
    tokenizer: str | None,
    trust_remote_code: bool,
) -> None:
    """Render a conversation outside a server, as the model's own tokenizer prepares it.

    Prints text, token ids and provenance as JSON, and what of the request was not used on standard error.
    """
    from k2lab.prompt.rendering import render as run
    from k2lab.prompt.source import open_source

    talk = conversation_of(conversation, template_kwargs)
    opened = open_source(source, trust_remote_code=trust_remote_code)
    ids_by = open_source(tokenizer, trust_remote_code=trust_remote_code).tokenizer if tokenizer else None
    rendering = run(opened, talk, add_generation_prompt=_prompt_flag(no_generation_prompt), tokenizer=ids_by)
    print_notes(rendering.provenance.notes)
    print_json(rendering.to_json())


@click.command(name="chat")
@BASE_URL
@MODEL
@CONVERSATION
@TEMPLATE_KWARGS
@MAX_TOKENS
def chat_command(
    base_url: str, model: str | None, conversation: Path, template_kwargs: str, max_tokens: int | None
) -> None:
    """Send a conversation to /chat/completions; prints the server's answer as JSON."""
    from k2lab.server.endpoint import Endpoint

    talk = conversation_of(conversation, template_kwargs)
    print_json(Endpoint(base_url, model).chat(talk, **_sampling(talk, max_tokens)).raw)


@click.command()
@BASE_URL
@MODEL
@click.option("--source", required=True, help=SOURCE_HELP)
@CONVERSATION
@FLAG
@TEMPLATE_KWARGS
@TRUST
@MAX_TOKENS
def complete(
    base_url: str,
    model: str | None,
    source: str,
    conversation: Path,
    no_generation_prompt: bool,
    template_kwargs: str,
    trust_remote_code: bool,
    max_tokens: int | None,
) -> None:
    """Render by hand and send to /completions; prints the server's answer as JSON."""
    from k2lab.prompt.rendering import render as run
    from k2lab.prompt.source import open_source
    from k2lab.server.endpoint import Endpoint

    talk = conversation_of(conversation, template_kwargs)
    opened = open_source(source, trust_remote_code=trust_remote_code)
    rendering = run(opened, talk, add_generation_prompt=_prompt_flag(no_generation_prompt))
    print_notes(rendering.provenance.notes)
    kept = {key: value for key, value in talk.parameters.items() if key not in chat.CHAT_ONLY and key != "model"}
    endpoint = Endpoint(base_url, model or _model_of(talk))
    print_json(endpoint.complete(rendering.text, **{**kept, **_sampling(talk, max_tokens)}).raw)


@click.command(name="prompt-ids")
@BASE_URL
@MODEL
@CONVERSATION
@TEMPLATE_KWARGS
def prompt_ids(base_url: str, model: str | None, conversation: Path, template_kwargs: str) -> None:
    """The token ids of the prompt that the server itself makes, as JSON."""
    from k2lab.server.endpoint import Endpoint

    found = Endpoint(base_url, model).prompt_ids(conversation_of(conversation, template_kwargs))
    print_json({"token_ids": None if found.ids is None else list(found.ids), "how": found.how})


@click.command()
@click.argument("left")
@click.argument("right")
@MODEL
@CONVERSATION
@TEMPLATE_KWARGS
@TRUST
@click.option("--context", default=3, show_default=True, help="Equal tokens shown around a difference.")
def diff(
    left: str,
    right: str,
    model: str | None,
    conversation: Path,
    template_kwargs: str,
    trust_remote_code: bool,
    context: int,
) -> None:
    """Compare the prompts of two sources token by token; LEFT may be the URL of a server.

    Exits with 1 when the prompts differ.
    """
    from k2lab.errors import SourceError, UnsupportedError
    from k2lab.prompt.alignment import diff as run
    from k2lab.prompt.rendering import render as rendered
    from k2lab.prompt.source import open_source
    from k2lab.server.endpoint import Endpoint
    from k2lab.show import views

    talk = conversation_of(conversation, template_kwargs)
    source = open_source(right, trust_remote_code=trust_remote_code)
    if source.tokenizer is None:
        raise SourceError(f"{right} has no tokenizer: give a folder or hub:REPO@SHA on the right")
    right_side = rendered(source, talk)
    if left.startswith(("http://", "https://")):
        found = Endpoint(left, model).prompt_ids(talk)
        if found.ids is None:
            raise UnsupportedError(found.how)
        left_ids, notes = found.ids, right_side.provenance.notes
    else:
        other = open_source(left, trust_remote_code=trust_remote_code)
        left_side = rendered(other, talk, tokenizer=source.tokenizer)
        left_ids, notes = left_side.token_ids or (), left_side.provenance.notes + right_side.provenance.notes
    print_notes(notes)
    made = run(left_ids, right_side.token_ids or (), source.tokenizer, talk)
    click.echo(views.side_by_side(made, source.tokenizer, left, right, context=context).text)
    if not made.equal:
        raise click.exceptions.Exit(1)


@click.command()
@BASE_URL
@MODEL
@click.option("--source", required=True, help=SOURCE_HELP)
@CONVERSATION
@TEMPLATE_KWARGS
@TRUST
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def probe(
    base_url: str,
    model: str | None,
    source: str,
    conversation: Path,
    template_kwargs: str,
    trust_remote_code: bool,
    as_json: bool,
) -> None:
    """Ask a running server for the known problems of prompts; exits with 1 when one is present."""
    from k2lab.prompt.rendering import render as rendered
    from k2lab.prompt.source import open_source
    from k2lab.server import probes
    from k2lab.server.endpoint import Endpoint
    from k2lab.show import views

    talk = conversation_of(conversation, template_kwargs)
    opened = open_source(source, trust_remote_code=trust_remote_code)
    endpoint = Endpoint(base_url, model)
    print_notes(rendered(opened, talk).provenance.notes)
    findings = probes.probe(endpoint, opened, talk)
    if as_json:
        print_json({"findings": [finding.to_json() for finding in findings]})
    else:
        click.echo("\n".join(views.finding(finding).text for finding in findings))
    if any(finding.state == "present" for finding in findings):
        raise click.exceptions.Exit(1)


def _prompt_flag(no_generation_prompt: bool) -> bool | None:
    return False if no_generation_prompt else None


def _model_of(talk: chat.Request) -> str | None:
    named = talk.parameters.get("model")
    return str(named) if named else None


def _sampling(talk: chat.Request, max_tokens: int | None) -> dict[str, Any]:
    """Greedy and short, but for what the request itself says."""
    defaults: dict[str, Any] = {} if "temperature" in talk.parameters else {"temperature": 0}
    if max_tokens is not None or not {"max_tokens", "max_completion_tokens"} & talk.parameters.keys():
        defaults["max_tokens"] = DEFAULT_MAX_TOKENS if max_tokens is None else max_tokens
    return defaults


COMMANDS = (render, chat_command, complete, prompt_ids, diff, probe)
