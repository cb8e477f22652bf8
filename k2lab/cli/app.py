"""The command line: a thin layer over the functions that notebooks call."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from k2lab import chat, engine, paths
from k2lab.cli import extras, notebooks, prompts
from k2lab.cli.benchmark import bench
from k2lab.cli.common import THINKING, print_json, told
from k2lab.cli.history import repair
from k2lab.cli.reports import report_command
from k2lab.errors import InputError, K2LabError


@click.group()
@click.version_option(package_name="k2lab")
def root() -> None:
    """Find which layer breaks a Kimi model's tool calls, and prove it on token ids."""


@root.command()
@click.option("--tools", type=click.Path(path_type=Path), default=None, help="A JSON file: the list of tools on offer.")
@click.option("--strict", is_flag=True, help="Accept the documented form alone.")
@click.option("--thinking/--no-thinking", default=None, help="Whether the output begins inside the reasoning.")
def parse(tools: Path | None, strict: bool, thinking: bool | None) -> None:
    """Read a raw output from standard input: content, and calls with their status, as JSON.

    A raw output is the text that the model wrote, markers included, as
    /completions gives it. An answer in JSON, a captured stream, a request, or an
    output of Kimi K3 is refused with a word on what it is.
    """
    from k2lab import wire

    text = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    foreign = wire.foreign_form(text)
    if foreign:
        raise InputError(f"this is no raw output but {foreign}")
    offered = None if tools is None else chat.load_tools(tools)
    print_json(wire.parse(text, offered, strict=strict, thinking=thinking).to_json())


@root.command()
@click.option(
    "--tools",
    required=True,
    type=click.Path(path_type=Path),
    help="A JSON file: the list of tools on offer, or a whole chat request.",
)
@click.option(
    "--history",
    type=click.Path(path_type=Path),
    default=None,
    help="A conversation file: ids run on from it; the request in --tools where left out.",
)
@click.option(
    "--tool-choice", default=None, help="auto, required, none, or the name of a tool; the request's, or auto."
)
@click.option("--parallel/--no-parallel", default=None, help="Whether several calls may come; the request's, or yes.")
@click.option("--max-calls", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--max-string", type=click.IntRange(min=1), default=None,
              help="Characters of a string that its schema leaves unbounded.")  # fmt: skip
@THINKING
@click.option("--loosen", is_flag=True, help="Go on where the grammar cannot hold a part of a schema.")
@click.option("--form", type=click.Choice(["vllm", "vllm-0.11", "sglang", "tensorrt-llm"]), default="vllm",
              show_default=True, help="The server that is to take it.")  # fmt: skip
def enforce(tools: Path, history: Path | None, tool_choice: str | None, parallel: bool | None, **options: Any) -> None:
    """Print what holds an answer to the declared tools, as JSON.

    For vllm that is the structural tag, which goes into a request as structured_outputs.structural_tag (a string) or as
    response_format; for the others the part of the request that carries it. The request says tool_choice auto.
    """
    from k2lab import enforcer

    request = _asked(tools, history, tool_choice, parallel)
    made = enforcer.enforce(request, options=enforcer.Options(**options))
    tell = partial(click.echo, err=True)
    for limit in made.limits:
        tell(f"k2lab: {'loosened' if limit.limit.asserted else 'not held'}: {limit}")
    for loss in made.losses:
        tell(f"k2lab: narrowed: {loss}")
    if request.tools and request.parameters.get("tool_choice") != "none":
        tell(f"k2lab: no string or key can hold {' or '.join(enforcer.MARKERS)}, which begin Kimi's markers")
    if made.any_order < enforcer.MOST_PERMUTED:
        held = f"tools with more than {made.any_order} keys have them in their schema's order"
        tell(f"k2lab: {held}, as all orders would make too large a grammar: --max-calls lowers its size")
    print_json(made.tag if made.form == "vllm" else made.fields)


def _asked(tools: Path, history: Path | None, tool_choice: str | None, parallel: bool | None) -> chat.Request:
    """The request of the files, with what is said beside them over its parameters."""
    offered = chat.load_tools(tools)
    request = chat.load(history) if history else chat.load(tools) if chat.holds_messages(tools) else None
    said: dict[str, object] = {}
    if tool_choice is not None:
        named = tool_choice not in ("auto", "required", "none")
        said["tool_choice"] = {"type": "function", "function": {"name": tool_choice}} if named else tool_choice
    if parallel is not None:
        said["parallel_tool_calls"] = parallel
    if request is None:
        return chat.Request(messages=(), tools=offered, parameters=said)
    return replace(request, tools=offered, parameters={**request.parameters, **said})


@root.command()
@click.option("--engine", "engines", multiple=True, help="An engine to ask; all installed ones where left out.")
@click.option("--base-url", default=None, help="A running vLLM with --enable-scale-out, asked by derender.")
@click.option("--source", default=None,
              help="The model that the server serves, whose ids are sent: a folder or hub:REPO@SHA."
                   " k2-nano where left out, or what a server of k2lab serves.")  # fmt: skip
@click.option("--catalogue", type=click.Path(path_type=Path), default=None, help="A file of outputs of your own.")
@click.option("--json", "as_json", is_flag=True, help="Print every answer as JSON.")
def parsers(
    engines: tuple[str, ...], base_url: str | None, source: str | None, catalogue: Path | None, as_json: bool
) -> None:
    """What every parser at hand makes of recorded failures, whole and in chunks.

    A catalogue has one JSON object a line:

    \b
    {"id": "a name of its own", "raw_output": "the text of the model",
     "tools": [...],              the tools on offer, in OpenAI's form
     "expected": {"calls": [{"name": "search", "arguments": {"q": "x"}}],
                  "content": null},
     "what": "...", "source": ["..."]}      both may be left out
    """  # noqa: D301 - click wants the control character
    from k2lab.prompt.source import open_source
    from k2lab.server import parsers as lab
    from k2lab.show import views

    for name in engines:
        engine.resolve(name)
    readings = lab.ask_all(lab.catalogue(catalogue), open_source(source or _served_at(base_url)), engines, base_url)
    if as_json:
        print_json([reading.to_json() for reading in readings])
    else:
        click.echo(views.parser_matrix(readings).text)


@root.group(name="engine")
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
    with told():
        engine.install_all([version for version in dict.fromkeys(versions) if not engine.is_installed(version)])
    for version in versions:
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
    server = engine.launch(name, _model_folder(model), port=port, flags=flags)
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


@root.command(name="model")
@click.argument("variant")
def model_command(variant: str) -> None:
    """Assemble a model folder of k2-nano and print its path."""
    from k2lab.nano import folders

    click.echo(folders.assemble(variant))


@root.command()
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Where the model goes; data/models/k2-nano.")
@click.option(
    "--engine", "engine_name", default="0.32.0", show_default=True, help="Whose torch trains and whose vLLM evaluates."
)
@click.option(
    "--conversations", default=None, type=click.IntRange(min=5000), help="Fewer than the recipe's, for a trial."
)
def nano(out: Path | None, engine_name: str, conversations: int | None) -> None:
    """Train k2-nano anew and evaluate it; an interrupted call goes on where it was."""
    if out is None and paths.is_shipped(paths.data_dir()):
        raise InputError("say where the new model goes, with --out FOLDER: here is no clone with a data folder")
    from k2lab.nano import build

    recipe = build.Recipe() if conversations is None else build.Recipe(conversations=conversations)
    target = out or paths.data_dir() / "models" / "k2-nano"
    with told():
        build.build_model(target, engine_name=engine_name, recipe=recipe)


for command in (*prompts.COMMANDS, *notebooks.COMMANDS, bench, repair, report_command):
    root.add_command(command)


def _served_at(base_url: str | None) -> str:
    """The folder whose ids a server of ours knows, or k2-nano's where none is asked."""
    from k2lab.nano import folders

    if base_url is None:
        return str(folders.assemble("current"))
    for server in engine.running():
        if server.base_url.rstrip("/") == base_url.rstrip("/"):
            return server.model
    raise InputError(f"what {base_url} serves is not known here, and ids are its tokenizer's: add --source FOLDER")


def _model_folder(model: str) -> Path:
    from k2lab.nano import folders

    return folders.assemble(model) if model in folders.VARIANTS else Path(model).expanduser()


def _command_of(words: Sequence[str]) -> str:
    """The command that was typed, for a person: ``k2lab bench``."""
    return " ".join(["k2lab", *[word for word in words if word in root.commands][:1]])


def main() -> NoReturn:
    """Entry point: our errors are one clear line and exit status 1, wrong usage is 2."""
    try:
        status = root(prog_name="k2lab", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except K2LabError as error:
        click.echo(f"k2lab: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        advice = extras.advice(error, _command_of(sys.argv[1:]))
        if advice is None:
            raise
        click.echo(advice, err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("k2lab: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
