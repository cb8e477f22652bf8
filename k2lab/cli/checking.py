"""``k2lab check``: what is wrong with the files that someone has in hand."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from k2lab.cli.common import as_record
from k2lab.cli.printing import note, print_json, print_line, print_text
from k2lab.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k2lab.check import Checked, Look

KINDS = ("conversation", "request", "answer", "exchange", "stream", "output", "tools")
APIS = ("chat", "responses", "messages")
FORMS = ("json", "sarif", "github")
RECORD = (
    "{name} is a record of traffic: k2lab record show says what was found in it, k2lab record export {name}"
    " | k2lab check - looks again"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What files are taken for, what is known beside them, and which findings count."""

    kind: str | None
    api: str | None
    model: str | None
    tools: Path | None
    thinking: bool | None
    source: str | None
    every: bool
    select: tuple[str, ...]
    ignore: tuple[str, ...]

    def look(self) -> Look:
        """The same as the library takes it."""
        from k2lab import chat
        from k2lab.check import Look
        from k2lab.findings import chosen

        names = chosen(self.select, self.ignore)
        tools = None if self.tools is None else chat.load_tools(self.tools)
        known = {"model": self.model, "tools": tools, "thinking": self.thinking, "source": self._source()}
        return Look(kind=self.kind, api=self.api, every=self.every, names=names, **known)  # type: ignore[arg-type]

    def _source(self) -> object:
        from k2lab.prompt.source import open_source

        return open_source(self.source) if self.source else None


@click.command(name="check")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--as", "kind", type=click.Choice(KINDS), default=None, help="What each FILE is; by default its form says."
)
@click.option("--api", type=click.Choice(APIS), default=None, help="The API that requests were sent to; by default"
              " what their form says.")  # fmt: skip
@click.option("--model", default=None, help="Name of the model, such as kimi-k2.5; by default what a request says.")
@click.option("--tools", type=click.Path(path_type=Path), default=None,
              help="A JSON file: the tools on offer, for outputs, streams, answers alone.")  # fmt: skip
@click.option("--thinking/--no-thinking", default=None, help="Whether a raw output begins inside the reasoning.")
@click.option(
    "--select", multiple=True, metavar="CODE", help="Only these findings, by code, name or beginning of a code."
)
@click.option("--ignore", multiple=True, metavar="CODE", help="Not these findings.")
@click.option("--all", "every", is_flag=True, help="Say as well what is absent and what cannot be known.")
@click.option("--source", default=None, help="Render requests with this source, and say what that decides.")
@click.option("--json", "form", flag_value="json", help="Print the findings as JSON.")
@click.option("--sarif", "form", flag_value="sarif", help="Print them as SARIF 2.1.0.")
@click.option("--github", "form", flag_value="github", help="Print them as annotations of a GitHub workflow.")
@click.option("--html", type=click.Path(path_type=Path), default=None, metavar="PAGE", help="Write a page as well.")
@click.option("--fix", is_flag=True, help="Print FILE with schemas that Moonshot's API accepts.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=None, help="With --fix: write them here.")
@as_record("looked", Looked)
def check_command(
    looked: Looked, files: tuple[str, ...], form: str | None, html: Path | None, fix: bool, output: Path | None
) -> None:
    """Say what is wrong with files, without a server; - is standard input.

    A FILE is a conversation, a request, an answer, a request with its answer
    (K2-Vendor-Verifier's results, a batch), tools, a captured stream (curl -N), or
    a raw output; several of them a line each (JSONL), too. Requests, answers and
    streams are of OpenAI's chat or Responses API, or of Anthropic's Messages API.
    Exits with 0 when
    nothing is wrong, with 1 when something is, and with 2 when a file could not be
    looked at. k2lab explain says more of a code.

    --fix prints FILE with the schemas of its tools written anew, so that Moonshot's
    API accepts them, and says what of their meaning is lost. FILE stays as it is.
    """
    look = looked.look()
    if fix or output:
        _fix(files, output)
        return
    values = [_one(name, look) for name in files]
    _print(values, form, every=looked.every)
    if html is not None:
        _write_page(html, values, every=looked.every)
    raise click.exceptions.Exit(max(value.status for value in values))


def _fix(names: Sequence[str], output: Path | None) -> None:
    from k2lab import files, jsonread, kept
    from k2lab.check.mended import fixed_tools

    if len(names) != 1:
        raise click.UsageError("--fix takes one FILE.")
    value = jsonread.read_json(_standard_input()) if names[0] == "-" else files.read_json(names[0], "tools file")
    made = fixed_tools(value)
    if output is None:
        print_json(made.value)
    else:
        kept.write_whole(output, json.dumps(made.value, ensure_ascii=False, indent=2) + "\n")
    for told in made.lost:
        note(f"lost: {told}")
    for told in made.left:
        note(f"still refused: {told}")
    equal = sum(one.equal for _, one in made.made)
    note(f"schemas written anew: {len(made.made)}, {equal} of equal meaning; refusals left: {len(made.left)}")
    raise click.exceptions.Exit(1 if made.left else 0)


def _one(name: str, look: Look) -> Checked:
    from k2lab.check import Checked, look_at, look_at_bytes

    if name != "-":
        return Checked(name=name, unread=(RECORD.format(name=name),)) if _is_record(name) else look_at(name, look)
    try:
        return look_at_bytes(name, _standard_input(), look)
    except InputError as why:
        return Checked(name=name, unread=(str(why),))


def _is_record(name: str) -> bool:
    from k2lab.traffic.recordfile import is_record

    return is_record(name)


def _standard_input() -> bytes:
    from k2lab.files import MAX_BYTES

    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read standard input: {(error.strerror or str(error)).lower()}") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"standard input has more than {MAX_BYTES >> 20} MiB: write it into a file")
    return data


def _print(values: Sequence[Checked], form: str | None, *, every: bool) -> None:
    from k2lab.check import logs
    from k2lab.show.checks import checked_view

    if form == "json":
        print_json({"files": [value.to_json() for value in values]})
    elif form == "sarif":
        print_json(logs.sarif(values))
    elif form == "github":
        for line in logs.workflow_commands(values):
            print_line(line)
    elif any(value.taken_for for value in values):
        print_text(checked_view(values, every=every).text)
    for value in values:
        for why in value.unread[:1]:
            more = f" (and {len(value.unread) - 1:,} more)" if len(value.unread) > 1 else ""
            note((why if value.name in why else f"{value.name}: {why}") + more)


def _write_page(path: Path, values: Sequence[Checked], *, every: bool) -> None:
    from k2lab import kept
    from k2lab.show.checks import whole_page

    kept.write_whole(path, whole_page(values, every=every), private=True)
