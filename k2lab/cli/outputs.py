"""Commands on what a model wrote: read here, and by the parsers of real engines."""

from __future__ import annotations

from pathlib import Path

import click

from k2lab.cli import streams
from k2lab.cli.printing import print_json, print_text
from k2lab.errors import InputError


@click.command(name="parse")
@click.option("--tools", type=click.Path(path_type=Path), default=None, help="A JSON file: the list of tools on offer.")
@click.option("--strict", is_flag=True, help="Accept the documented form alone.")
@click.option("--thinking/--no-thinking", default=None, help="Whether the output begins inside the reasoning.")
@click.option("--family", default=None,
              help="Whose output it is: K2, K2.5, K3 ...; by default its own markers say it.")  # fmt: skip
def parse_command(tools: Path | None, strict: bool, thinking: bool | None, family: str | None) -> None:
    """Read a raw output from standard input: content, and calls with their status, as JSON.

    A raw output is the text that the model wrote, markers included, as
    /completions gives it. An answer in JSON, a captured stream or a request is
    refused with a word on what it is. `family` in the JSON says whose output it
    was read as: K2 stands for K2 to K2.7, whose calls have one form.
    """
    from k2lab import chat, families, wire

    whose = None if family is None else families.named(family)
    text = streams.read().decode("utf-8", errors="replace")
    foreign = wire.foreign_form(text)
    if foreign:
        raise InputError(f"this is not a raw output but {foreign}")
    offered = None if tools is None else chat.load_tools(tools)
    print_json(wire.parse(text, offered, strict=strict, thinking=thinking, family=whose).to_json())


@click.command(name="parsers")
@click.option("--engine", "engines", multiple=True, help="An engine to ask; by default all installed ones.")
@click.option("--base-url", default=None, help="A running vLLM with --enable-scale-out, asked by derender.")
@click.option("--source", default=None,
              help="The model that the server serves, whose ids are sent: a folder or hub:REPO@SHA."
                   " k2-nano where left out, or what a server of k2lab serves.")  # fmt: skip
@click.option("--catalogue", default=None,
              help="k2, thinking or k3, or a file of outputs of your own; the three where left out.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print every answer as JSON.")
def parsers_command(
    engines: tuple[str, ...], base_url: str | None, source: str | None, catalogue: str | None, as_json: bool
) -> None:
    """What every parser at hand makes of recorded failures, whole and in chunks.

    An output of a family that thinks goes through the release's reasoning
    parser, then through its tool parser, as on a server that is started with
    both. A catalogue has one JSON object a line:

    \b
    {"id": "a name of its own", "raw_output": "the text of the model",
     "tools": [...],              the tools on offer, in OpenAI's form
     "expected": {"calls": [{"name": "search", "arguments": {"q": "x"}}],
                  "content": null,
                  "reasoning": "..."},   where left out, it is not judged
     "family": "K2-Thinking",     K2 where left out; K2.5, K2.6, K2.7, K3:
                                  which parsers are asked, kimi_k2 or kimi_k3
     "prompt": "...",             what stands before the output, where a
                                  parser may look at that, too
     "what": "...", "source": ["..."]}      both may be left out
    """  # noqa: D301 - click wants the control character
    from k2lab import engine
    from k2lab.prompt.source import open_source
    from k2lab.server import parsers as lab
    from k2lab.server.transport import checked_url
    from k2lab.show import views

    for name in engines:
        engine.resolve(name)
    if base_url is not None:
        base_url = checked_url(base_url)
    names = [catalogue] if catalogue is not None else list(lab.CATALOGUES)
    failures = [failure for name in names for failure in lab.catalogue(name)]
    readings = lab.ask_all(failures, open_source(source or _served_at(base_url)), engines, base_url)
    if as_json:
        print_json([reading.to_json() for reading in readings])
    else:
        print_text(views.parser_matrix(readings).text)


def _served_at(base_url: str | None) -> str:
    """The folder whose ids a server of ours knows, or k2-nano's where none is asked."""
    from k2lab import engine
    from k2lab.nano import folders

    if base_url is None:
        return str(folders.for_parsers())
    for server in engine.running():
        if server.base_url.rstrip("/") == base_url:
            return server.model
    raise InputError(f"what {base_url} serves is not known here, and ids are its tokenizer's: add --source FOLDER")
