"""The command line: a thin layer over the functions that notebooks call."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from k2lab import chat, engine, paths
from k2lab.cli.bench import bench
from k2lab.cli.common import BASE_URL, CONVERSATION, FLAG, MODEL, SOURCE_HELP, THINKING, TRUST, print_json
from k2lab.errors import K2LabError


@click.group()
@click.version_option(package_name="k2lab")
def cli() -> None:
    """Find which layer breaks a Kimi model's tool calls, and prove it on token ids."""


@cli.command()
@click.option("--source", required=True, help=SOURCE_HELP)
@CONVERSATION
@FLAG
@click.option("--tokenizer", default=None, help="A source whose tokenizer gives the ids, for a source that has none.")
@TRUST
def render(
    source: str, conversation: Path, no_generation_prompt: bool, tokenizer: str | None, trust_remote_code: bool
) -> None:
    """Render a conversation outside a server: text, token ids, provenance, as JSON."""
    from k2lab.render import render as run
    from k2lab.source import open_source

    talk = chat.load(conversation)
    opened = open_source(source, trust_remote_code=trust_remote_code)
    ids_by = open_source(tokenizer, trust_remote_code=trust_remote_code).tokenizer if tokenizer else None
    print_json(run(opened, talk, add_generation_prompt=not no_generation_prompt, tokenizer=ids_by).to_json())


@cli.command(name="chat")
@BASE_URL
@MODEL
@CONVERSATION
@click.option("--max-tokens", default=256, show_default=True)
def chat_command(base_url: str, model: str | None, conversation: Path, max_tokens: int) -> None:
    """Send a conversation to /chat/completions; prints the server's answer as JSON."""
    from k2lab.endpoint import Endpoint

    print_json(Endpoint(base_url, model).chat(chat.load(conversation), temperature=0, max_tokens=max_tokens).raw)


@cli.command()
@BASE_URL
@MODEL
@click.option("--source", required=True, help=SOURCE_HELP)
@CONVERSATION
@FLAG
@TRUST
@click.option("--max-tokens", default=256, show_default=True)
def complete(
    base_url: str,
    model: str | None,
    source: str,
    conversation: Path,
    no_generation_prompt: bool,
    trust_remote_code: bool,
    max_tokens: int,
) -> None:
    """Render by hand and send to /completions; prints the server's answer as JSON."""
    from k2lab.endpoint import Endpoint
    from k2lab.render import render as run
    from k2lab.source import open_source

    opened = open_source(source, trust_remote_code=trust_remote_code)
    prompt = run(opened, chat.load(conversation), add_generation_prompt=not no_generation_prompt).text
    print_json(Endpoint(base_url, model).complete(prompt, temperature=0, max_tokens=max_tokens).raw)


@cli.command(name="prompt-ids")
@BASE_URL
@MODEL
@CONVERSATION
def prompt_ids(base_url: str, model: str | None, conversation: Path) -> None:
    """The token ids of the prompt that the server itself makes, as JSON."""
    from k2lab.endpoint import Endpoint

    found = Endpoint(base_url, model).prompt_ids(chat.load(conversation))
    print_json({"token_ids": None if found.ids is None else list(found.ids), "how": found.how})


@cli.command()
@click.argument("left")
@click.argument("right")
@CONVERSATION
@TRUST
@click.option("--context", default=3, show_default=True, help="Equal tokens shown around a difference.")
def diff(left: str, right: str, conversation: Path, trust_remote_code: bool, context: int) -> None:
    """Compare the prompts of two sources token by token; LEFT may be the URL of a server.

    Exits with 1 when the prompts differ.
    """
    from k2lab import views
    from k2lab.diff import diff as run
    from k2lab.endpoint import Endpoint
    from k2lab.errors import SourceError, UnsupportedError
    from k2lab.render import render as rendered
    from k2lab.source import open_source

    talk = chat.load(conversation)
    source = open_source(right, trust_remote_code=trust_remote_code)
    if source.tokenizer is None:
        raise SourceError(f"{right} has no tokenizer: give a folder or hub:REPO@SHA on the right")
    right_ids = rendered(source, talk).token_ids
    if left.startswith(("http://", "https://")):
        found = Endpoint(left).prompt_ids(talk)
        if found.ids is None:
            raise UnsupportedError(found.how)
        left_ids = found.ids
    else:
        other = open_source(left, trust_remote_code=trust_remote_code)
        left_ids = rendered(other, talk, tokenizer=source.tokenizer).token_ids or ()
    made = run(left_ids, right_ids or (), source.tokenizer, talk)
    click.echo(views.side_by_side(made, source.tokenizer, left, right, context=context).text)
    if not made.equal:
        raise click.exceptions.Exit(1)


@cli.command()
@BASE_URL
@MODEL
@click.option("--source", required=True, help=SOURCE_HELP)
@CONVERSATION
@TRUST
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def probe(
    base_url: str, model: str | None, source: str, conversation: Path, trust_remote_code: bool, as_json: bool
) -> None:
    """Ask a running server for the known problems; exits with 1 when one is present."""
    from k2lab import probes, views
    from k2lab.endpoint import Endpoint
    from k2lab.source import open_source

    opened = open_source(source, trust_remote_code=trust_remote_code)
    endpoint, talk = Endpoint(base_url, model), chat.load(conversation)
    findings = [probe(endpoint, opened, talk) for probe in probes.ALL]
    if as_json:
        print_json({"findings": [finding.to_json() for finding in findings]})
    else:
        click.echo("\n".join(views.finding(finding).text for finding in findings))
    if any(finding.state == "present" for finding in findings):
        raise click.exceptions.Exit(1)


@cli.command()
@click.option("--tools", type=click.Path(path_type=Path), default=None, help="A JSON file: the list of tools on offer.")
@click.option("--strict", is_flag=True, help="Accept the documented form alone.")
@click.option("--thinking/--no-thinking", default=None, help="Whether the output begins inside the reasoning.")
def parse(tools: Path | None, strict: bool, thinking: bool | None) -> None:
    """Read a raw output from standard input: content, and calls with their status, as JSON."""
    from k2lab import wire

    text = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    offered = None if tools is None else chat.load_tools(tools)
    print_json(wire.parse(text, offered, strict=strict, thinking=thinking).to_json())


@cli.command()
@click.argument("conversation", type=click.Path(path_type=Path))
@click.option("--model", default="kimi-k2", show_default=True, help="K3 is left alone: its format has no such ids.")
def repair(conversation: Path, model: str) -> None:
    """Repair a history: ids renumbered, text parts joined, empty contents made equal; prints it with the changes."""
    from k2lab.repair import history

    print_json(history(chat.load(conversation), model=model).to_json())


@cli.command()
@click.option(
    "--tools", required=True, type=click.Path(path_type=Path), help="A JSON file: the list of tools on offer."
)
@click.option(
    "--history", type=click.Path(path_type=Path), default=None, help="A conversation file: ids run on from it."
)
@click.option("--tool-choice", default="auto", show_default=True, help="auto, required, none, or the name of a tool.")
@click.option("--parallel/--no-parallel", default=True, show_default=True)
@click.option("--max-calls", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--max-string", type=click.IntRange(min=1), default=None,
              help="Characters of a string that its schema leaves unbounded.")  # fmt: skip
@THINKING
@click.option("--loosen", is_flag=True, help="Go on where the grammar cannot hold a part of a schema.")
@click.option("--form", type=click.Choice(["vllm", "vllm-0.11", "sglang", "tensorrt-llm"]), default="vllm",
              show_default=True, help="The server that is to take it.")  # fmt: skip
def enforce(tools: Path, history: Path | None, tool_choice: str, **options: Any) -> None:
    """Print what holds an answer to the declared tools, as JSON.

    For vllm that is the structural tag, which goes into a request as structured_outputs.structural_tag (a string) or as
    response_format; for the others the part of the request that carries it. The request says tool_choice auto.
    """
    from k2lab import enforcer

    offered = chat.load_tools(tools)
    first_index = enforcer.calls_so_far(chat.load(history).messages) if history else 0
    named = tool_choice not in ("auto", "required", "none")
    choice: Any = {"type": "function", "function": {"name": tool_choice}} if named else tool_choice
    made = enforcer.enforce(offered, tool_choice=choice, first_index=first_index, **options)
    tell = partial(click.echo, err=True)
    for limit in made.limits:
        tell(f"k2lab: loosened: {limit}")
    for loss in made.losses:
        tell(f"k2lab: narrowed: {loss}")
    if offered and tool_choice != "none":
        tell(f"k2lab: no string or key can hold {' or '.join(enforcer.MARKERS)}, which begin Kimi's markers")
    if made.any_order < enforcer.MOST_PERMUTED:
        held = f"tools with more than {made.any_order} keys have them in their schema's order"
        tell(f"k2lab: {held}, as all orders would make too large a grammar: --max-calls lowers its size")
    print_json(made.tag if made.form == "vllm" else made.fields)


@cli.command()
@click.option("--engine", "engines", multiple=True, help="An engine to ask; all installed ones where left out.")
@click.option("--base-url", default=None, help="A running vLLM with --enable-scale-out, asked by derender.")
@click.option("--catalogue", type=click.Path(path_type=Path), default=None, help="Another file of outputs.")
@click.option("--json", "as_json", is_flag=True, help="Print every answer as JSON.")
def parsers(engines: tuple[str, ...], base_url: str | None, catalogue: Path | None, as_json: bool) -> None:
    """What every parser at hand makes of recorded failures, whole and in chunks."""
    from k2lab import parsers as lab
    from k2lab import views

    for name in engines:
        engine.resolve(name)
    answers = lab.ask_all(lab.catalogue(catalogue), engines, base_url)
    if as_json:
        print_json([vars(answer) for answer in answers])
    else:
        click.echo(views.parser_matrix(answers).text)


@cli.group(name="engine")
def engine_group() -> None:
    """Real vLLM releases, each in an environment of its own."""


@engine_group.command(name="list")
def engine_list() -> None:
    """The engines that can be named, and the servers that run."""
    for name, state in engine.available():
        click.echo(f"{name:10} {state}")
    for server in engine.running():
        click.echo(f"running    {server.server_id}  {server.base_url}  {paths.shown(server.model)}")


@engine_group.command(name="install")
@click.argument("versions", nargs=-1, required=True)
def engine_install(versions: tuple[str, ...]) -> None:
    """Make the environments of vLLM VERSIONS; one that stands is left alone."""
    for version in versions:
        if not engine.is_installed(version):
            engine.install(version, click.echo)
        click.echo(f"vLLM {version} is installed")


@engine_group.command(name="serve")
@click.argument("name")
@click.option("--model", default="current", show_default=True, help="A variant of k2-nano, or a model folder.")
@click.option("--port", type=int, default=None, help="A free one where left out.")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def engine_serve(name: str, model: str, port: int | None, flags: tuple[str, ...]) -> None:
    """Start an engine on 127.0.0.1 and leave it running; FLAGS after -- go to vLLM."""
    engine.resolve(name)
    click.echo(f"starting {name} …", err=True)
    server = engine.serve(name, _model_folder(model), port=port, flags=flags)
    click.echo(f"{server.server_id}  {server.base_url}")
    click.echo(f"to end it: k2lab engine stop {server.server_id}", err=True)


@engine_group.command(name="stop")
@click.argument("server_ids", nargs=-1, required=True)
def engine_stop(server_ids: tuple[str, ...]) -> None:
    """End servers that `engine serve` started."""
    for server in [engine.get(server_id) for server_id in server_ids]:
        engine.stop(server)
        click.echo(f"{server.server_id} has ended")


@engine_group.command(name="logs")
@click.argument("server_id")
@click.option("--lines", default=50, show_default=True)
def engine_logs(server_id: str, lines: int) -> None:
    """The last lines of a running server's log."""
    click.echo(engine.get(server_id).log_tail(lines))


@cli.command(name="model")
@click.argument("variant")
def model_command(variant: str) -> None:
    """Assemble a model folder of k2-nano and print its path."""
    from k2lab.nano import folders

    click.echo(folders.assemble(variant))


@cli.command()
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Where the model goes; data/models/k2-nano.")
@click.option(
    "--engine", "engine_name", default="0.32.0", show_default=True, help="Whose torch trains and whose vLLM evaluates."
)
@click.option(
    "--conversations", default=None, type=click.IntRange(min=5000), help="Fewer than the recipe's, for a trial."
)
def nano(out: Path | None, engine_name: str, conversations: int | None) -> None:
    """Train k2-nano anew and evaluate it; an interrupted call goes on where it was."""
    from k2lab.nano import build

    recipe = build.Recipe() if conversations is None else build.Recipe(conversations=conversations)
    target = out or paths.data_dir() / "models" / "k2-nano"
    build.build(target, engine_name=engine_name, recipe=recipe, say=click.echo)


@cli.command()
@click.argument("names", nargs=-1)
@click.option(
    "-p", "parameters", type=(str, str), multiple=True, metavar="NAME VALUE", help="A parameter of the notebook."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("reports"), show_default=True)
@click.option("--notebooks", "folder", type=click.Path(path_type=Path), default=None, help="Where the notebooks are.")
def report(names: tuple[str, ...], parameters: tuple[tuple[str, str], ...], out: Path, folder: Path | None) -> None:
    """Run notebooks (all, where none is named) and write reports; exits with 1 when one fails."""
    from k2lab import report as reports

    place = folder or paths.data_dir().parent / "notebooks"
    failed = False
    for name in names or reports.notebooks(place):
        made = reports.run(name, parameters, folder=place, out=out, say=click.echo)
        state = "passed" if made.ok else f"FAILED: {made.error.splitlines()[0]}"
        click.echo(f"{made.name}: {state} ({made.seconds:.0f} s), see {made.html}")
        failed |= not made.ok
    if failed:
        raise click.exceptions.Exit(1)


cli.add_command(bench)


def _model_folder(model: str) -> Path:
    from k2lab.nano import folders

    return folders.assemble(model) if model in folders.VARIANTS else Path(model).expanduser()


def main() -> NoReturn:
    """Entry point: our errors are one clear line and exit status 1, wrong usage is 2."""
    try:
        status = cli(standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except K2LabError as error:
        click.echo(f"k2lab: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("k2lab: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
