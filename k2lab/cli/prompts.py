"""Commands on one prompt: rendered here, asked of a server, compared token by token, probed."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from k2lab.errors import SourceError, UnsupportedError

if TYPE_CHECKING:
    from k2lab.prompt.records import Prompt
    from k2lab.prompt.source import Source
    from k2lab.prompt.tokenizers import Tokenizer
    from k2lab.server.endpoint import Endpoint

SOURCE = click.option("--source", required=True, help=SOURCE_HELP)
DEFAULT_MAX_TOKENS = 256
MAX_TOKENS = click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    default=None,
    help=f"Of the answer; the request's own where left out, else {DEFAULT_MAX_TOKENS}.",
)


def takes_request(command: Callable[..., None]) -> Callable[..., None]:
    """The options that name a conversation; the command gets it as ``request``."""

    @CONVERSATION
    @TEMPLATE_KWARGS
    @wraps(command)
    def run(conversation: Path, template_kwargs: str, **options: Any) -> None:
        command(request=conversation_of(conversation, template_kwargs), **options)

    return run


@click.command()
@takes_request
@SOURCE
@click.option("--tokenizer", default=None, help="A source whose tokenizer gives the ids, for a source that has none.")
@FLAG
@TRUST
def render(
    request: chat.Request, source: str, tokenizer: str | None, no_generation_prompt: bool, trust_remote_code: bool
) -> None:
    """Render a conversation outside a server, as the model's own tokenizer prepares it.

    Prints text, token ids and provenance as JSON, and what of the request was not used on standard error.
    """
    opened = _opened(source, trust_remote_code)
    ids_by = _opened(tokenizer, trust_remote_code).tokenizer if tokenizer else None
    print_json(_prompt(opened, request, no_generation_prompt=no_generation_prompt, tokenizer=ids_by).to_json())


@click.command(name="chat")
@takes_request
@BASE_URL
@MODEL
@MAX_TOKENS
def chat_command(request: chat.Request, base_url: str, model: str | None, max_tokens: int | None) -> None:
    """Send a conversation to /chat/completions; prints the server's answer as JSON."""
    print_json(_endpoint(base_url, model).chat(request, **_sampling(request, max_tokens)).raw)


@click.command()
@takes_request
@BASE_URL
@MODEL
@SOURCE
@FLAG
@TRUST
@MAX_TOKENS
def complete(
    request: chat.Request,
    base_url: str,
    model: str | None,
    source: str,
    no_generation_prompt: bool,
    trust_remote_code: bool,
    max_tokens: int | None,
) -> None:
    """Render by hand and send to /completions; prints the server's answer as JSON."""
    prompt = _prompt(_opened(source, trust_remote_code), request, no_generation_prompt=no_generation_prompt)
    kept = {key: value for key, value in request.parameters.items() if key not in chat.CHAT_ONLY and key != "model"}
    endpoint = _endpoint(base_url, model or request.model)
    print_json(endpoint.complete(prompt.text, **{**kept, **_sampling(request, max_tokens)}).raw)


@click.command(name="prompt-ids")
@takes_request
@BASE_URL
@MODEL
def prompt_ids(request: chat.Request, base_url: str, model: str | None) -> None:
    """The token ids of the prompt that the server itself makes, as JSON."""
    found = _endpoint(base_url, model).prompt_ids(request)
    print_json({"token_ids": None if found.ids is None else list(found.ids), "how": found.how})


@click.command()
@click.argument("left")
@click.argument("right")
@takes_request
@MODEL
@TRUST
@click.option("--context", default=3, show_default=True, help="Equal tokens shown around a difference.")
def diff(
    request: chat.Request, left: str, right: str, model: str | None, trust_remote_code: bool, context: int
) -> None:
    """Compare the prompts of two sources token by token; LEFT may be the URL of a server.

    Exits with 1 when the prompts differ.
    """
    from k2lab.prompt import alignment
    from k2lab.show import views

    source = _opened(right, trust_remote_code)
    if source.tokenizer is None:
        raise SourceError(f"{right} has no tokenizer: give a folder or hub:REPO@SHA on the right")
    right_side = _silent(source, request)
    if left.startswith(("http://", "https://")):
        print_notes(right_side.provenance.notes)
        compared = alignment.diff(_ids_at(left, model, request), right_side)
    else:
        left_side = _silent(_opened(left, trust_remote_code), request, tokenizer=source.tokenizer)
        print_notes(left_side.provenance.notes + right_side.provenance.notes)
        compared = alignment.diff(left_side, right_side)
    click.echo(views.side_by_side(compared, source.tokenizer, left, right, context=context).text)
    _exit_with_1_if(not compared.equal)


@click.command()
@takes_request
@BASE_URL
@MODEL
@SOURCE
@TRUST
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def probe(
    request: chat.Request, base_url: str, model: str | None, source: str, trust_remote_code: bool, as_json: bool
) -> None:
    """Ask a running server for the known problems of prompts; exits with 1 when one is present."""
    from k2lab.server import probes
    from k2lab.show import views

    opened, endpoint = _opened(source, trust_remote_code), _endpoint(base_url, model)
    _prompt(opened, request)  # a source that cannot render fails here, and its notes are told once
    findings = probes.probe(endpoint, opened, request)
    if as_json:
        print_json({"findings": [finding.to_json() for finding in findings]})
    else:
        click.echo("\n".join(views.finding(finding).text for finding in findings))
    _exit_with_1_if(any(finding.state == "present" for finding in findings))


def _opened(spec: str, trust_remote_code: bool) -> Source:
    from k2lab.prompt.source import open_source

    return open_source(spec, trust_remote_code=trust_remote_code)


def _prompt(source: Source, request: chat.Request, **options: Any) -> Prompt:
    """The prompt; what a person should know of it goes to standard error."""
    prompt = _silent(source, request, **options)
    print_notes(prompt.provenance.notes)
    return prompt


def _silent(
    source: Source, request: chat.Request, *, no_generation_prompt: bool = False, tokenizer: Tokenizer | None = None
) -> Prompt:
    from k2lab.prompt.rendering import prompt_of

    flag = False if no_generation_prompt else None
    return prompt_of(source, request, add_generation_prompt=flag, tokenizer=tokenizer)


def _endpoint(base_url: str, model: str | None) -> Endpoint:
    from k2lab.server.endpoint import Endpoint

    return Endpoint(base_url, model)


def _ids_at(base_url: str, model: str | None, request: chat.Request) -> tuple[int, ...]:
    """The ids of the prompt that a server makes; raises :class:`UnsupportedError` where it does not say."""
    found = _endpoint(base_url, model).prompt_ids(request)
    if found.ids is None:
        raise UnsupportedError(found.how)
    return found.ids


def _sampling(request: chat.Request, max_tokens: int | None) -> dict[str, Any]:
    """Greedy and short, but for what the request itself says."""
    defaults: dict[str, Any] = {} if "temperature" in request.parameters else {"temperature": 0}
    if max_tokens is not None or not {"max_tokens", "max_completion_tokens"} & request.parameters.keys():
        defaults["max_tokens"] = DEFAULT_MAX_TOKENS if max_tokens is None else max_tokens
    return defaults


def _exit_with_1_if(bad: bool) -> None:
    if bad:
        raise click.exceptions.Exit(1)


COMMANDS = (render, chat_command, complete, prompt_ids, diff, probe)
