"""From parameters to a report: papermill runs a notebook, its outcome becomes one offline HTML file.

Engines are started and stopped here, outside the kernel, and their URLs are
passed in. A failing cell leaves the executed notebook and a report that says so.
"""

from __future__ import annotations

import ast
import copy
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from k2lab.errors import InputError, ReportError
from k2lab.notebook import servers as lab

RECORD_TYPE = "application/vnd.k2lab.result+json"
"""The MIME type under which a notebook leaves a result for the summary."""

FILE_SUFFIX, FOLDERS = "_file", ("out", "source")
"""Names of parameters that are paths: a relative one is the caller's, while a notebook runs in its own folder."""

LOCAL_TAG, SERVER_TAG = "local-engines", "own-server"
"""Cells that need k2lab's own engines, and cells that need the reader's server."""

CELL_TIMEOUT_S = 1800
OUTSIDE = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc\s*=\s*["']?(?:https?:)?//|<link\b[^>]*\bhref\s*=\s*["']?(?:https?:)?//"""
    r"""|@import\s+(?:url\()?["']?(?:https?:)?//|\bimport\s*\(?\s*["'](?:https?:)?//""",
    re.IGNORECASE,
)
"""An address that a browser would fetch when it opens the page."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What a run left behind."""

    name: str
    ok: bool
    error: str
    html: Path
    notebook: Path
    seconds: float
    results: Mapping[str, Any]


def record(name: str, value: Any) -> None:
    """Leave a result of a notebook for the report's ``summary.json``; ``value`` is JSON data."""
    from IPython.display import display

    show: Callable[..., None] = display
    show({RECORD_TYPE: {name: value}, "text/plain": f"{name}: {value}"}, raw=True)


def notebooks(folder: Path) -> list[str]:
    """Names of the notebooks of a folder, in order."""
    return sorted(path.stem for path in folder.glob("*.ipynb"))


def run(name: str, given: Sequence[tuple[str, str]] = (), *, folder: Path, out: Path, say: Say = print) -> Report:
    """Run one notebook and write ``NAME.html``, ``NAME.ipynb`` and ``summary.json`` into ``out``.

    Raises :class:`InputError` for an unknown notebook or parameter, and for a
    value of the wrong type. A failing cell is no exception: see ``Report.ok``.
    """
    import nbformat

    path = _find(name, folder)
    notebook = nbformat.read(path, as_version=4)
    parameters = typed(given, defaults(notebook), path.stem)
    own_server = bool(parameters.get("base_url"))
    _keep_cells(notebook, drop=LOCAL_TAG if own_server else SERVER_TAG)
    out.mkdir(parents=True, exist_ok=True)
    wanted = {} if own_server else {**parameters.get("servers", {})}
    missing = [server for server, url in wanted.items() if not url]
    started = time.monotonic()
    with lab.serving(missing, say) as urls:
        if wanted:
            parameters["servers"] = {**wanted, **urls}
        say(f"running {path.name}")
        error = _execute(notebook, parameters, out / f"{path.stem}.ipynb", path)
    seconds = time.monotonic() - started
    executed = nbformat.read(out / f"{path.stem}.ipynb", as_version=4)
    html = out / f"{path.stem}.html"
    html.write_text(to_html(executed, path.stem, error), encoding="utf-8")
    report = Report(path.stem, not error, error, html, out / f"{path.stem}.ipynb", seconds, results(executed))
    _summarise(report, parameters, out / "summary.json")
    return report


def defaults(notebook: Any) -> dict[str, Any]:
    """Parameters and their default values: the literals of the cell tagged ``parameters``."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            tree = ast.parse(cell.source)
            return {
                target.id: ast.literal_eval(node.value)
                for node in tree.body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
    return {}


def typed(given: Iterable[tuple[str, str]], known: Mapping[str, Any], notebook: str) -> dict[str, Any]:
    """All parameters: the defaults, and over them the given texts read as the type of the default; paths absolute."""
    values = dict(known)
    for name, text in given:
        if name not in known:
            raise InputError(f"{notebook} has no parameter {name!r}: it has {', '.join(sorted(known)) or 'none'}")
        value = _read(name, _absolute(name, text), known[name])
        values[name] = {**known[name], **value} if isinstance(value, dict) else value
    return values


def _absolute(name: str, text: str) -> str:
    """A path that does not depend on the folder; a source that is no folder, such as ``hub:REPO@SHA``, stays."""
    is_path = name.endswith(FILE_SUFFIX) or (name in FOLDERS and (name != "source" or Path(text).is_dir()))
    return str(Path(text).absolute()) if text and is_path else text


def _read(name: str, text: str, default: Any) -> Any:
    kind = type(default)
    try:
        if kind is bool:
            value: Any = {"true": True, "false": False}[text.lower()]
        elif kind in (dict, list):
            value = json.loads(text)
            if type(value) is not kind:
                raise ValueError
        else:
            value = kind(text)
    except (KeyError, ValueError):
        shown = {dict: "a JSON object", list: "a JSON list", bool: "true or false"}.get(
            kind, f"of type {kind.__name__}"
        )
        raise InputError(f"parameter {name} must be {shown}, not {text!r}; its default is {default!r}") from None
    return value


def results(notebook: Any) -> dict[str, Any]:
    """What the cells recorded, by name."""
    found: dict[str, Any] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            found.update(output.get("data", {}).get(RECORD_TYPE, {}))
    return found


def to_html(notebook: Any, title: str, error: str = "") -> str:
    """One HTML file that opens without a network; a failed run says so at the top.

    Raises :class:`ReportError` when the page would still fetch something.
    """
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [_static(output) for output in cell.outputs if RECORD_TYPE not in output.get("data", {})]
    notebook.metadata.pop("widgets", None)
    config = Config()
    config.HTMLExporter.extra_template_basedirs = [str(Path(__file__).parent / "html")]
    exporter = HTMLExporter(config=config, template_name="k2lab", embed_images=True)
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    state = "failed" if error else "passed"
    first = error.splitlines()[0] if error else "every check of this notebook held"
    body = body.replace("<!--k2lab-banner-->", _banner(state, first), 1)
    outside = OUTSIDE.search(body)
    if outside:
        raise ReportError(f"the report of {title} would fetch from outside: {outside[0][:200]!r}")
    return str(body)


def _banner(state: str, text: str) -> str:
    from html import escape

    colour = {"passed": "#2c6fd1", "failed": "#d9780f"}[state]
    style = f"font:14px system-ui,sans-serif;padding:.6em 1em;border-left:.6em solid {colour};margin:1em"
    return f'<div id="k2lab-status" data-status="{state}" style="{style}"><b>{state}</b>: {escape(text)}</div>'


def _static(output: Any) -> Any:
    """Where an output has HTML, drop the widget, which an exported page cannot show."""
    data = output.get("data", {})
    if "text/html" in data:
        data.pop("application/vnd.jupyter.widget-view+json", None)
    return output


def _find(name: str, folder: Path) -> Path:
    path = folder / f"{Path(name).name.removesuffix('.ipynb')}.ipynb"
    if not path.exists():
        raise InputError(f"no notebook {name!r} in {folder}: there is {', '.join(notebooks(folder)) or 'none'}")
    return path


def _keep_cells(notebook: Any, drop: str) -> None:
    notebook.cells = [cell for cell in notebook.cells if drop not in cell.metadata.get("tags", [])]


def _execute(notebook: Any, parameters: Mapping[str, Any], target: Path, source: Path) -> str:
    """Run by papermill; returns what went wrong, empty when nothing did."""
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    prepared = target.with_name(f".{target.stem}.{os.getpid()}.ipynb")
    nbformat.write(notebook, prepared)
    target.unlink(missing_ok=True)
    try:
        papermill.execute_notebook(
            str(prepared),
            str(target),
            parameters=dict(parameters),
            cwd=str(source.parent.resolve()),
            progress_bar=False,
            execution_timeout=CELL_TIMEOUT_S,
            kernel_name="python3",
            config=_kernel_config(),
        )
        return ""
    except PapermillExecutionError as error:
        return f"cell {error.exec_count} raised {error.ename}: {error.evalue}"
    except Exception as error:  # a dead kernel, a time-out: the notebook is there as far as it got
        if not target.exists():
            raise ReportError(f"{source.name} could not be run: {error}") from error
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    finally:
        prepared.unlink(missing_ok=True)
        if target.exists():
            _strip(target)


def _kernel_config() -> Any:
    """Talk to the kernel through files of this user, not over TCP, where the system can."""
    from traitlets.config import Config

    return Config({"KernelManager": {"transport": "ipc"}} if os.name == "posix" else {})


def _strip(path: Path) -> None:
    """Take this machine's paths out of papermill's notes in the executed notebook."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    for key in ("input_path", "output_path"):
        notebook.metadata.get("papermill", {}).pop(key, None)
    nbformat.write(notebook, path)


def _summarise(report: Report, parameters: Mapping[str, Any], path: Path) -> None:
    """Put the outcome into ``summary.json`` beside those of other notebooks."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        reports = dict(summary["reports"])
    except (OSError, ValueError, KeyError, TypeError):
        reports = {}
    reports[report.name] = {
        "status": "passed" if report.ok else "failed",
        "error": report.error,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(report.seconds, 1),
        "parameters": {key: value for key, value in parameters.items() if key != "servers"},
        "servers": list(parameters.get("servers", {})),
        "results": dict(report.results),
    }
    summary = {
        "k2lab": version("k2lab"),
        "python": platform.python_version(),
        "hardware": f"{os.cpu_count()} CPU threads, {platform.machine()}, {platform.system()}",
        "reports": dict(sorted(reports.items())),
    }
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    os.replace(fresh, path)
