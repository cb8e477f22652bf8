"""Every example of a docstring runs, whichever room it stands in."""

import doctest
import importlib

import pytest

import k2lab
from tests.conftest import ROOT

MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "k2lab").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name, plain_server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"k2lab": k2lab, "base_url": plain_server.url}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    run = doctest.testmod(importlib.import_module(name), extraglobs=names, optionflags=flags)
    assert run.attempted and not run.failed
