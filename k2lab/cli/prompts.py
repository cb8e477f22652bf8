"""Commands on one prompt: rendered here, asked of a server, compared token by token, probed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from k2lab.cli.common import (
    BASE_URL,
    CONVERSATION,
    FLAG,
    MODEL,
    SOURCE_HELP,
    TEMPLATE_KWARGS,
    TRUST,
    as_record,
    conversation_of,
)
from k2lab.cli.printing import print_json, print_notes, print_text
from k2lab.errors import SourceError

if TYPE_CHECKING:
    from k2lab.chat import Request
    from k2lab.prompt.records import Prompt
    from k2lab.prompt.source import Source
    from k2lab.prompt.tokenizers import Tokenizer
    from k2lab.server.endpoint import Endpoint

SOURCE = click.option("--source", required=True, help=SOURCE_HELP)
FAMILY = click.option(
    "--family",
    default=None,
    help="Whose prompts the source's are, such as k3, where its files do not say: the provenance tells what was taken.",
)
DEFAULT_MAX_TOKENS = 256
MAX_TOKENS = click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    default=None,
    help=f"Most tokens of the answer; by default what the request says, else {DEFAULT_MAX_TOKENS}.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOptions:
    """Which server is asked, for which of its models."""

    base_url: str
    model: str | None

    def endpoint(self) -> Endpoint:
        """The server, ready to be asked."""
        from k2lab.server.endpoint import Endpoint

        return Endpoint(self.base_url, self.model)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceOptions:
    """Where template and tokenizer come from, and whether code that lies there may run."""

    source: str
    trust_remote_code: bool
    family: str | None = None

    def opened(self) -> Source:
        """The source, read."""
        from k2lab import families
        from k2lab.prompt.source import open_source

        family = families.named(self.family) if self.family else None
        return open_source(self.source, trust_remote_code=self.trust_remote_code, family=family)


def takes_request(command: Callable[..., None]) -> Callable[..., None]:
    """The options that name a conversation; the command gets it as ``request``."""

    @CONVERSATION
    @TEMPLATE_KWARGS
    @wraps(command)
    def run(conversation: Path, template_kwargs: str, **options: object) -> None:
        command(request=conversation_of(conversation, template_kwargs), **options)

    return run


@click.command(name="render")
@takes_request
@SOURCE
@FAMILY
@click.option("--tokenizer", default=None, help="A source whose tokenizer gives the ids, for a source that has none.")
@click.option("--served", is_flag=True, help="Render what vLLM 0.32.0 hands to the renderer of a Kimi K3.")
@FLAG
@TRUST
@as_record("source", SourceOptions)
def render_command(
    request: Request, source: SourceOptions, tokenizer: str | None, served: bool, no_generation_prompt: bool
) -> None:
    """Render a conversation outside a server, as the model's own tokenizer prepares it.

    Prints text, token ids and provenance as JSON, and what of the request was not used on standard error.
    """
    from k2lab.prompt.served import for_xtml

    opened = source.opened()
    if served and not opened.writes_xtml:
        raise SourceError(f"--served is for Kimi K3, and {source.source} is of {_family_of(opened)}: leave it out")
    request = for_xtml(request) if served else request
    named = opened.family.name if opened.writes_xtml and opened.family else source.family
    ids_by = replace(source, source=tokenizer, family=named).opened().tokenizer if tokenizer else None
    prompt = _prompt(opened, request, no_generation_prompt=no_generation_prompt, tokenizer=ids_by)
    print_json(prompt.to_json())


@click.command(name="chat")
@takes_request
@BASE_URL
@MODEL
@MAX_TOKENS
@as_record("server", ServerOptions)
def chat_command(request: Request, server: ServerOptions, max_tokens: int | None) -> None:
    """Send a conversation to /chat/completions; prints the server's answer as JSON."""
    print_json(server.endpoint().chat(request, **_sampling(request, max_tokens)).raw)


@click.command(name="complete")
@takes_request
@BASE_URL
@MODEL
@SOURCE
@FAMILY
@FLAG
@TRUST
@MAX_TOKENS
@as_record("server", ServerOptions)
@as_record("source", SourceOptions)
def complete_command(
    request: Request, server: ServerOptions, source: SourceOptions, no_generation_prompt: bool, max_tokens: int | None
) -> None:
    """Render a conversation here and send the text to /completions; prints the server's answer as JSON."""
    from k2lab.chat import CHAT_ONLY

    prompt = _prompt(source.opened(), request, no_generation_prompt=no_generation_prompt)
    kept = {key: value for key, value in request.parameters.items() if key not in CHAT_ONLY and key != "model"}
    endpoint = replace(server, model=server.model or request.model).endpoint()
    print_json(endpoint.complete(prompt.sent, **{**kept, **_sampling(request, max_tokens)}).raw)


@click.command(name="prompt-ids")
@takes_request
@BASE_URL
@MODEL
@as_record("server", ServerOptions)
def prompt_ids_command(request: Request, server: ServerOptions) -> None:
    """Print the token ids of the prompt that the server itself makes, as JSON."""
    found = server.endpoint().prompt_ids(request)
    print_json({"token_ids": None if found.ids is None else list(found.ids), "how": found.how})


@click.command(name="diff")
@click.argument("left")
@click.argument("right")
@takes_request
@MODEL
@FAMILY
@TRUST
@click.option("--context", default=3, show_default=True, help="Equal tokens shown around a difference.")
def diff_command(
    request: Request,
    left: str,
    right: str,
    model: str | None,
    family: str | None,
    trust_remote_code: bool,
    context: int,
) -> None:
    """Compare the prompts of two sources token by token; LEFT may be the URL of a server.

    Exits with 1 when the prompts differ.
    """
    from k2lab.prompt import alignment
    from k2lab.server import probes
    from k2lab.show import views

    source = SourceOptions(source=right, trust_remote_code=trust_remote_code, family=family).opened()
    if source.tokenizer is None:
        raise SourceError(f"{right} has no tokenizer: give a folder or hub:REPO@SHA on the right")
    right_side = _silent(source, request)
    if "://" in left:
        print_notes(right_side.provenance.notes)
        endpoint = ServerOptions(base_url=left, model=model).endpoint()
        known = right_side.token_ids or ()
        ids, how = probes.ids_at(endpoint, request, source.tokenizer, known=known, family=source.family)
        print_notes((f"{left}: its ids are by {how}",))
        compared = alignment.diff(ids, right_side)
    else:
        other = SourceOptions(source=left, trust_remote_code=trust_remote_code, family=family).opened()
        left_side = _silent(other, request, tokenizer=source.tokenizer)
        print_notes(left_side.provenance.notes + right_side.provenance.notes)
        compared = alignment.diff(left_side, right_side)
    print_text(views.side_by_side(compared, source.tokenizer, left, right, context=context).text)
    _exit_with_1_if(not compared.equal)


@click.command(name="probe")
@takes_request
@BASE_URL
@MODEL
@SOURCE
@FAMILY
@TRUST
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@as_record("server", ServerOptions)
@as_record("source", SourceOptions)
def probe_command(request: Request, server: ServerOptions, source: SourceOptions, as_json: bool) -> None:
    """Ask a running server for the known problems of prompts; exits with 1 when one is present."""
    from k2lab.server import probes
    from k2lab.show import views

    opened, endpoint = source.opened(), server.endpoint()
    _prompt(opened, request)  # a source that cannot render fails here, and its notes are told once
    findings = probes.probe(endpoint, opened, request)
    if as_json:
        print_json({"findings": [finding.to_json() for finding in findings]})
    else:
        print_text("\n".join(views.finding(finding).text for finding in findings))
    _exit_with_1_if(any(finding.state == "present" for finding in findings))


def _prompt(
    source: Source, request: Request, *, no_generation_prompt: bool = False, tokenizer: Tokenizer | None = None
) -> Prompt:
    """The prompt; what a person should know of it goes to standard error."""
    prompt = _silent(source, request, no_generation_prompt=no_generation_prompt, tokenizer=tokenizer)
    print_notes(prompt.provenance.notes)
    return prompt


def _silent(
    source: Source, request: Request, *, no_generation_prompt: bool = False, tokenizer: Tokenizer | None = None
) -> Prompt:
    from k2lab.prompt.rendering import prompt_of

    flag = False if no_generation_prompt else None
    return prompt_of(source, request, add_generation_prompt=flag, tokenizer=tokenizer)


def _sampling(request: Request, max_tokens: int | None) -> dict[str, object]:
    """Greedy and short, but for what the request itself says."""
    defaults: dict[str, object] = {} if "temperature" in request.parameters else {"temperature": 0}
    if max_tokens is not None or not {"max_tokens", "max_completion_tokens"} & request.parameters.keys():
        defaults["max_tokens"] = DEFAULT_MAX_TOKENS if max_tokens is None else max_tokens
    return defaults


def _family_of(source: Source) -> str:
    return source.family.name if source.family else "no family that is known"


def _exit_with_1_if(bad: bool) -> None:
    if bad:
        raise click.exceptions.Exit(1)
