"""``k2lab shrink``: the smallest request that still shows a fault, as files that others can run."""

from __future__ import annotations

from pathlib import Path

import click

from k2lab.cli.printing import note, print_json, print_line, print_path


@click.command(name="shrink")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--base-url", default=None, help="The server that answers wrongly; by default none is asked.")
@click.option("--model", default=None, help="Name of the model; by default the request's, or the server's first one.")
@click.option("--code", default=None, help="The fault to keep: a code, a name, or 'HTTP 400'; by default the gravest.")
@click.option("--budget", default=300, show_default=True, type=click.IntRange(min=20), help="Requests to the server.")
@click.option("--out", "-o", type=click.Path(path_type=Path, file_okay=False), default=Path("case"), show_default=True,
              help="The folder for what is left.")  # fmt: skip
@click.option("--keep-words", is_flag=True, help="Leave words as they are; by default they are made neutral.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def shrink_command(
    file: Path,
    base_url: str | None,
    model: str | None,
    code: str | None,
    budget: int,
    out: Path,
    keep_words: bool,
    as_json: bool,
) -> None:
    """Leave out of a request all that a fault does not need: messages, tools, fields, keys, words.

    FILE is a conversation or a request, or {"request": ..., "response": ...},
    whose answer shows the fault. With --base-url every candidate is sent, some
    of them several times where the server is random. Written are request.json,
    issue.md, test_case.py and curl.sh, without keys, URLs and the model's name.
    """
    from k2lab.cli.progress import show_progress
    from k2lab.jsonable import as_json as plain
    from k2lab.server.endpoint import Endpoint
    from k2lab.shrink import Live, Offline, shrunk, write_case
    from k2lab.shrink.sights import Sight, given

    request, answer = given(file)
    sight: Sight = Offline(model=model, answer=answer)
    if base_url is not None:
        sight = Live(Endpoint(base_url, model), budget=budget)
        note(f"at most {budget:,} requests are sent")
    with show_progress() as tell:
        told = tell if base_url is not None else _silent
        result = shrunk(request, sight, fault=code, private=not keep_words, tell=told)
    paths = write_case(result, out, live=base_url is not None)
    if as_json:
        data = plain(result)
        assert isinstance(data, dict)
        print_json({**data, "files": {name: str(path) for name, path in paths.items()}})
        return
    print_line(f"{result.fault}: {result.evidence}")
    print_line(f"before: {result.before}")
    print_line(f"after:  {result.after}; looked {result.asked:,} times")
    shown = f"shows in {result.shows.count} of {result.shows.total} last looks"
    print_line(shown + _left(result.spent, result.neutral))
    for path in paths.values():
        print_path(path)


def _silent(line: str) -> None:
    """Offline it is over before anyone could read it."""


def _left(spent: bool, neutral: bool) -> str:
    said = "; the budget ended it: more could perhaps be left out" if spent else ""
    return said + ("" if neutral else "; words are those of the original: read them before you show them")
