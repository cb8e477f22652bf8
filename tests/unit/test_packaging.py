"""The wheel, in environments that have nothing else: what the core does alone, and what each extra adds."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, TALK

pytestmark = pytest.mark.xdist_group("packaging")  # each environment is made once

MOST_MB = 120
"""Of the core with all that it brings; 99 when this was written. A gateway carries it."""

ABSENT = {
    "aiohttp",
    "ipython",
    "jupyterlab",
    "matplotlib",
    "msgspec",
    "numpy",
    "openai",
    "pandas",
    "torch",
    "transformers",
}
OUTPUT = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
    '{"city": "Oslo"}<|tool_call_end|><|tool_calls_section_end|>'
)

Bare = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: object, cwd: Path = ROOT, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, **options)


def build(out: Path, *what: str) -> Path:
    done = run(sys.executable, "-m", "build", "--no-isolation", *what, "--outdir", out, ROOT)
    assert done.returncode == 0, done.stderr or done.stdout
    return next(out.glob("*.whl"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """Built as a release is: an sdist from the clone, the wheel from the sdist."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def environment(wheel, tmp_path_factory) -> Callable[[str], Path]:
    """A fresh environment with the wheel and one extra; pip's index is uv's, where one is set."""
    settings = {"UV_DEFAULT_INDEX": os.environ["PIP_INDEX_URL"]} if "PIP_INDEX_URL" in os.environ else {}
    env = {**os.environ, **settings}

    def make(extra: str) -> Path:
        folder = tmp_path_factory.mktemp("bare") / "env"
        wanted = f"k2lab{f'[{extra}]' if extra else ''} @ {wheel.as_uri()}"
        uv = [sys.executable, "-m", "uv"]
        for command in (
            [*uv, "venv", "--python", sys.executable, folder],
            [*uv, "pip", "install", "--python", folder, wanted],
        ):
            done = run(*command, cwd=folder.parent, env=env)
            assert done.returncode == 0, done.stderr
        return folder

    return make


def bare(folder: Path) -> Bare:
    """Runs a program of an environment outside the clone, with nothing of the clone in reach."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("K2LAB_", "PYTHON", "VIRTUAL_"))}
    env["K2LAB_CACHE"] = str(folder.parent / "cache")

    def call(program: str, *words: object, **options) -> subprocess.CompletedProcess[str]:
        return run(folder / "bin" / program, *words, cwd=folder.parent, env=env, **options)

    return call


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def core(environment) -> Path:
    return environment("")


def size_mb(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*")) / 1e6


@pytest.mark.long
def test_the_wheel_of_the_sdist_is_the_wheel_of_the_clone(wheel, tmp_path):
    direct = build(tmp_path, "--wheel")
    assert direct.name == wheel.name and direct.read_bytes() == wheel.read_bytes()
    names = zipfile.ZipFile(wheel).namelist()
    assert "k2lab/_shipped/notebooks/1_generation_prompt.ipynb" in names and "k2lab/py.typed" in names
    assert not [name for name in names if not name.startswith(("k2lab/", "k2lab-"))]


def test_the_core_is_small_and_brings_no_heavy_library(core):
    site = next(core.glob("lib/python*/site-packages"))
    installed = {path.name.split("-")[0].lower() for path in site.glob("*.dist-info")}
    assert "k2lab" in installed and not installed & ABSENT
    assert size_mb(site) < MOST_MB


class TestCore:
    @pytest.fixture
    def call(self, core) -> Bare:
        return bare(core)

    def test_help_and_version(self, call):
        assert "Usage: k2lab" in good(call("k2lab", "--help"))
        assert good(call("python", "-m", "k2lab", "--version")).startswith("k2lab, version 0.2.")

    def test_render(self, call):
        folder = good(call("k2lab", "model", "current")).strip()
        rendered = json.loads(good(call("k2lab", "render", "--source", folder, "--conversation", TALK)))
        assert rendered["token_ids"] and "get_weather" in rendered["text"]

    def test_parse(self, call):
        assert json.loads(good(call("k2lab", "parse", input=OUTPUT)))["calls"][0]["arguments"] == {"city": "Oslo"}

    def test_repair(self, call):
        assert json.loads(good(call("k2lab", "repair", TALK)))["problems"] == []

    def test_enforce(self, call):
        assert "get_weather" in good(call("k2lab", "enforce", "--tools", TALK))

    def test_the_notebooks_come_with_it(self, call, tmp_path):
        assert len(good(call("k2lab", "notebooks")).splitlines()) == len(list(ROOT.glob("notebooks/*.ipynb")))
        good(call("k2lab", "notebooks", tmp_path / "mine"))
        for path in ROOT.glob("notebooks/*.ipynb"):
            assert (tmp_path / "mine" / path.name).read_bytes() == path.read_bytes()

    def test_what_needs_an_extra_says_so_in_one_line(self, call, tmp_path):
        samples = ["--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--out", tmp_path / "run.db"]
        (tmp_path / "samples.jsonl").write_text(json.dumps(json.loads(TALK.read_text())) + "\n")
        good(call("k2lab", "notebooks", tmp_path / "mine"))
        coded = good(call("k2lab", "model", "legacy")).strip()
        for words, library, extra in (
            (["render", "--source", coded, "--conversation", TALK, "--trust-remote-code"], "transformers", "code"),
            (["bench", "run", tmp_path / "samples.jsonl", *samples], "msgspec", "bench"),
            (["chat", *samples[:2], "--conversation", TALK], "msgspec", "bench"),
            (["report", "2_empty_content"], "nbformat", "notebook"),
            (["lab", tmp_path / "mine"], "jupyterlab", "notebook"),
        ):
            done = call("k2lab", *words)
            assert done.returncode == 1 and done.stdout == ""
            assert done.stderr == f"k2lab {words[0]} needs {library}: pip install 'k2lab[{extra}]'\n"

    def test_what_needs_a_clone_says_so(self, call):
        assert "`k2lab notebooks DIR`" in call("k2lab", "lab").stderr
        assert "name a folder with --out" in call("k2lab", "nano").stderr


@pytest.mark.long
def test_the_bench_extra_runs_a_benchmark(environment, plain_server, tmp_path):
    call = bare(environment("bench"))
    (tmp_path / "samples.jsonl").write_text(json.dumps(json.loads(TALK.read_text())) + "\n")
    server = ["--base-url", plain_server.url, "--model", "m", "--out", tmp_path / "run.db", "--arm", "plain"]
    good(call("k2lab", "bench", "run", tmp_path / "samples.jsonl", *server))
    assert json.loads(good(call("k2lab", "bench", "summary", tmp_path / "run.db", "--json")))


@pytest.mark.long
def test_the_notebook_extra_opens_the_notebooks_and_makes_reports_of_them(environment, tmp_path):
    call = bare(environment("notebook"))
    good(call("k2lab", "notebooks", tmp_path / "mine"))
    assert good(call("k2lab", "lab", tmp_path / "mine", "--version")).strip().startswith("4.")
    code = (
        "import nbformat, sys; from k2lab.notebook import page; "
        "print(page.to_html(nbformat.read(sys.argv[1], as_version=4), 'one'))"
    )
    page = good(call("python", "-c", code, tmp_path / "mine" / "2_empty_content.ipynb"))
    assert "k2lab-status" in page and "Problem 2" in page
