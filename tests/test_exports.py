"""The front door: which names it has, that they are light to reach, documented, and that their examples run."""

import ast
import doctest
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import k2lab
from k2lab import notebook
from tests.conftest import ROOT

PACKAGE = ROOT / "k2lab"
HEAVY = {
    "transformers",
    "tokenizers",
    "tiktoken",
    "openai",
    "aiohttp",
    "numpy",
    "pandas",
    "matplotlib",
    "IPython",
    "jinja2",
}
BUDGET_MS = 60
PENDING = {"enforce"}


def test_the_names_are_sorted_and_each_is_there():
    assert k2lab.__all__ == sorted(k2lab.__all__)
    assert set(k2lab.__all__) == set(k2lab._PLACES)
    assert all(getattr(k2lab, name) is not None for name in k2lab.__all__)
    assert set(k2lab.__all__) <= set(dir(k2lab))


def test_type_checkers_see_the_same_names_from_the_same_rooms():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    assert seen_by_checkers(tree) == k2lab._PLACES


def test_a_notebooks_one_import_line_is_seen_and_loaded_alike():
    tree = ast.parse((PACKAGE / "notebook" / "__init__.py").read_text())
    assert seen_by_checkers(tree) == notebook._PLACES
    assert all(getattr(notebook, name) is not None for name in notebook.__all__)


def seen_by_checkers(tree):
    block = next(node for node in tree.body if isinstance(node, ast.If))
    found = {}
    for node in block.body:
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            module = Path(*node.module.split("."), alias.name)
            is_module = (ROOT / module).is_dir() or (ROOT / f"{module}.py").is_file()
            found[alias.name] = f"{node.module}.{alias.name}" if is_module else f"{node.module}:{alias.name}"
    return found


def test_the_version_is_the_packages_own():
    assert k2lab.__version__ == version("k2lab")


def test_a_name_that_is_not_there_is_an_attribute_error_that_names_those_that_are():
    with pytest.raises(AttributeError, match="has no attribute 'rendered': it has Answer, "):
        _ = k2lab.rendered


def test_importing_it_loads_nothing_heavy_and_takes_no_time():
    code = (
        "import sys, time; t = time.process_time(); import k2lab; t = time.process_time() - t;"
        "print(t * 1000, *sys.modules)"
    )
    taken = []
    for _ in range(5):  # CPU time, the least of five: what it takes on a machine that does nothing else
        words = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert not {name.split(".")[0] for name in words[1:]} & HEAVY
        taken.append(float(words[0]))
    assert min(taken) < BUDGET_MS


@pytest.mark.parametrize("name", k2lab.__all__)
def test_each_name_has_an_example_that_runs(name, example_names):
    if name in PENDING:
        pytest.skip("to come")
    value = getattr(k2lab, name)
    text = inspect.getdoc(value) or ""
    assert ">>>" in text, f"{name} has no example"
    test = doctest.DocTestParser().get_doctest(text, {"k2lab": k2lab, **example_names}, name, None, None)
    assert test.examples
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test)
    assert runner.failures == 0


@pytest.fixture
def example_names(plain_server, tmp_path, monkeypatch):
    """What examples may name: a server, and a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return {"base_url": plain_server.url}


def test_no_function_or_class_has_the_name_of_a_module():
    modules = {path.stem for path in PACKAGE.rglob("*.py")} | {path.name for path in PACKAGE.rglob("*/")}
    shared = {}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        names = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)}
        shared |= {str(path.relative_to(ROOT)): found for found in [sorted(names & modules)] if found}
    assert shared == {}


def test_the_readmes_first_lines_run():
    text = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    test = doctest.DocTestParser().get_doctest(text, {}, "README", None, None)
    assert len(test.examples) == 6
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test)
    assert runner.failures == 0
