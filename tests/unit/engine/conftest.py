"""A cache of its own for each test of the engine room, environments that are copies, and a model folder."""

import shutil

import pytest

from k2lab.engine import environments
from tests.conftest import ROOT


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of its own, and a vllm module that can be run by this interpreter."""
    package = tmp_path / "path" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    shutil.copyfile(ROOT / "tests" / "helpers" / "fake_vllm.py", package / "api_server.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def bare_environment(tmp_path_factory):
    """An environment with pip as an install makes it first, made once."""
    folder = tmp_path_factory.mktemp("engine") / "bare"
    environments._run([environments._interpreter(), "-m", "venv", str(folder)], "no environment")
    return folder


@pytest.fixture
def copied_environments(bare_environment, monkeypatch):
    """A new environment is a copy of the one that was made once."""

    def copy(command, what):
        assert command[1:3] == ["-m", "venv"]
        shutil.copytree(bare_environment, command[3], symlinks=True)

    monkeypatch.setattr(environments, "_run", copy)


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"
