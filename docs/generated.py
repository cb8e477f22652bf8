"""Parts of the pages that are made from the code: commands, rooms, names of the front door, reports.

``make pages`` writes them into the Markdown files, between cog's markers, and a
test holds that they are current. The pages of the API are written for each build.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import click

import k2lab
from k2lab.findings import CATALOGUE, SUBJECTS, Entry

ROOT = Path(__file__).resolve().parents[1]


def first_sentence(text: str | None) -> str:
    """The first line of a docstring, as a cell of a table."""
    line = (inspect.cleandoc(text or "").splitlines() or [""])[0].replace("|", r"\|")
    return re.sub(r"(?::[a-z:]+:)?`+~?([^`]+)`+", r"`\1`", line)


def commands() -> str:
    """The help page of every command, groups before their members."""
    from k2lab.cli import root

    return "\n".join(_help_pages(root, ["k2lab"], None))


def _help_pages(command: click.Command, path: list[str], parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=path[-1], parent=parent, terminal_width=80)
    yield f"\n{'#' * min(len(path) + 1, 4)} {' '.join(path)}\n\n```text\n{command.get_help(context)}\n```"
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        member = command.get_command(context, name)
        if member and not member.hidden:
            yield from _help_pages(member, [*path, name], context)


def rooms() -> list[str]:
    """The rooms in the order in which imports may run, lowest first: what ``tests/test_architecture.py`` checks."""
    return [name for name in _constants()["ORDER"] if name != "__main__"]


def _constants() -> dict[str, tuple[str, ...]]:
    """The tuples of names that the test of the architecture is written on, read without running it."""
    found = {}
    for node in ast.parse((ROOT / "tests" / "test_architecture.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            found[node.targets[0].id] = eval(compile(ast.Expression(node.value), "ORDER", "eval"), {})
    return found


def rooms_table() -> str:
    """Each room with the first line of its docstring."""
    plain = _constants()["STANDARD_LIBRARY_ONLY"]
    rows = [
        f"| {place} | `{name}` | {first_sentence(module_of(name).__doc__)} | {'yes' if name in plain else ''} |"
        for place, name in enumerate(rooms(), 1)
    ]
    return "\n".join(["| | room | what it knows | standard library alone |", "|---|---|---|---|", *rows])


def limits() -> str:
    """What bounds what comes from outside, read from the code that holds it."""
    from k2lab import files, jsonread, legible
    from k2lab.bench.limits import Limits
    from k2lab.enforcer import enforcement
    from k2lab.notebook import execution
    from k2lab.prompt import confined
    from k2lab.prompt import files as folders
    from k2lab.server import parsers, session, transport
    from k2lab.show import parts

    mib = 1 << 20
    template = confined.Limits()
    rows = {
        "a file of others": f"{files.MAX_BYTES // mib} MiB, a line of a longer one {files.MAX_LINE_BYTES // mib} MiB",
        "JSON from outside": f"{jsonread.MOST_LEVELS} levels deep, {jsonread.MOST_PARTS:,} values",
        "a chat template's file": f"{folders.MAX_TEMPLATE_BYTES // mib} MiB",
        "an unknown template or tokenizer": f"{template.cpu_s} s of CPU time, {template.wall_s:.0f} s in all,"
        f" {template.memory // mib} MiB of memory, {template.text:,} characters",
        "one output through an engine's parser": f"{parsers.CPU_S} s of CPU time,"
        f" {parsers.MEMORY // mib} MiB of memory beside the engine's",
        "an answer of a server": f"{transport.TIMEOUT_S:.0f} s in all ({Limits().timeout_s:.0f} s in a benchmark, or"
        f" `--timeout`), {transport.MAX_ANSWER_BYTES // mib} MiB before and after decompression",
        "one event of a stream": f"{session.MAX_EVENT_BYTES // mib} MiB",
        "connecting to a server": f"{transport.CONNECT_TIMEOUT_S:.0f} s",
        "a grammar": f"{enforcement.LARGEST_GRAMMAR_BYTES >> 10} KiB",
        "a cell of a notebook": f"{execution.CELL_TIMEOUT_S} s",
        "a line for a person": f"{legible.MOST:,} characters",
        "a cell of a view's table": f"{parts.LONGEST_CELL:,} characters",
    }
    lines = [f"| {what} | {most} |" for what, most in rows.items()]
    return "\n".join(["| what | at most |", "|---|---|", *lines])


def module_of(name: str) -> ModuleType:
    """A module of the package by its name below ``k2lab``."""
    return importlib.import_module(f"k2lab.{name}")


def findings() -> str:
    """The catalogue of findings: a part for each subject, a section for each code."""
    parts = []
    for letter, subject in SUBJECTS.items():
        entries = [entry for entry in CATALOGUE.values() if entry.code.startswith(letter)]
        parts += [f"## {letter}: {subject}", *map(_finding, entries)]
    return "\n\n".join(parts)


def _finding(entry: Entry) -> str:
    sources = "\n".join(f"- <{source}>" if source.startswith("http") else f"- {source}" for source in entry.sources)
    rows = {
        "Looks at": entry.looks_at,
        "Why it hurts": entry.why,
        "At fault": f"{' or '.join(entry.layers)} ({entry.level})",
        "What to do": entry.fix,
    }
    told = "\n".join(f"- **{head}**: {sphinx_text(words)}" for head, words in rows.items())
    parts = [f"### {entry.code} `{entry.name}`", f"{entry.title[0].upper()}{entry.title[1:]}.", told, sources]
    return "\n\n".join(part for part in parts if part)


def sphinx_text(words: str) -> str:
    """Words as Markdown that prints them as they stand."""
    return words.replace("<", "\\<").replace("*", "\\*").replace("[{", "\\[{").replace("$", "\\$")


def front_door() -> list[str]:
    """The public names of ``import k2lab``."""
    return sorted(getattr(k2lab, "__all__", ()))


def front_door_table() -> str:
    """Each name of the front door with the first line of its docstring."""
    rows = [f"| `{name}` | {first_sentence(inspect.getdoc(getattr(k2lab, name)))} |" for name in front_door()]
    return "\n".join(["| name | what it is |", "|---|---|", *rows])


def api_toctree() -> str:
    """The list of the API's pages: the front door, then the rooms from the lowest up."""
    pages = [*(["front_door"] if front_door() else []), *rooms()]
    return "\n".join(["```{toctree}", ":maxdepth: 1", *(f"api/{page}" for page in pages), "```"])


def write_api(folder: Path) -> None:
    """Write the API's pages: one for the front door, and one for each room with all its modules."""
    folder.mkdir(exist_ok=True)
    pages = {name: _room_page(name) for name in rooms()}
    if front_door():
        pages["front_door"] = "\n\n".join(["# The front door", *map(_front_door_entry, front_door())])
    for stale in {*folder.glob("*.md")} - {folder / f"{name}.md" for name in pages}:
        stale.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _front_door_entry(name: str) -> str:
    value = getattr(k2lab, name)
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, BaseException) else "class"
    else:
        kind = "function" if inspect.isroutine(value) else "data"
    return f"## {name}\n\n```{{eval-rst}}\n.. auto{kind}:: k2lab.{name}\n   :no-index:\n```"


def _room_page(name: str) -> str:
    room = module_of(name)
    sections = [f"# {name}", _automodule(room.__name__, exported=_exported(room))]
    for info in sorted(pkgutil.walk_packages(getattr(room, "__path__", ()), f"{room.__name__}."), key=lambda i: i.name):
        exported = _exported(importlib.import_module(info.name)) if info.ispkg else ""
        sections += [f"## {info.name.removeprefix(f'{room.__name__}.')}", _automodule(info.name, exported=exported)]
    return "\n\n".join(sections) + "\n"


def _automodule(name: str, *, exported: str) -> str:
    """A module's docstring and members; of a package that re-exports, a list of links in place of the members."""
    shown = ":show-inheritance:" if name == "k2lab.errors" else ":ignore-module-all:"
    return f"```{{eval-rst}}\n.. automodule:: {name}\n   {shown}\n{exported}```"


def _exported(package: ModuleType) -> str:
    values = {name: getattr(package, name) for name in getattr(package, "__all__", ())}
    links = [
        f":py:obj:`~{value.__module__}.{name}`"
        for name, value in sorted(values.items())
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ != package.__name__
    ]
    return f"   :no-members:\n\nFrom ``{package.__name__}``: {', '.join(links)}.\n" if links else ""


def reports_table() -> str:
    """Each published report with the title of its notebook and its size."""
    import nbformat

    rows = []
    for path in sorted((ROOT / "docs" / "reports").glob("*.html")):
        notebook = nbformat.read(ROOT / "notebooks" / f"{path.stem}.ipynb", as_version=4)
        title = notebook.cells[0].source.splitlines()[0].lstrip("# ")
        rows.append(f"| [{path.stem}]({path.name}) | {title} | {path.stat().st_size / 1e6:.1f} MB |")
    return "\n".join(["| report | | size |", "|---|---|---|", *rows]) if rows else "None is published yet."


def proxy_metrics() -> str:
    """The proxy's own counters, with what each says and its labels."""
    from k2lab.traffic.metrics import Metrics

    class Nothing:
        """A recorder that has counted nothing."""

        findings: Mapping[tuple[str, str], int] = {}

        def __getattr__(self, name: str) -> int:
            return 0

    metrics = Metrics()
    metrics.watch(Nothing())
    text = metrics.shown("")[0].decode()
    help_of = dict(re.findall(r"^# HELP (k2lab_\S+) (.+)$", text, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (k2lab_\S+) (\S+)$", text, re.MULTILINE))
    rows = [f"| `{name}` | {kinds[name]} | {said} |" for name, said in help_of.items()]
    return "\n".join(["| metric | kind | what it says |", "|---|---|---|", *rows])
