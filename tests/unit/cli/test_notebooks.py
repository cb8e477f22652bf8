"""The commands on notebooks: a list, a copy to edit, and what JupyterLab is not started on."""

import pytest

from k2lab import paths
from k2lab.cli import extras
from tests.unit.cli.test_commands import one_line

NAMES = sorted(path.name for path in paths.notebooks_dir().glob("*.ipynb"))


def test_the_notebooks_are_listed_with_their_titles(k2lab):
    lines = k2lab("notebooks").stdout.splitlines()
    assert [line.split()[0] + ".ipynb" for line in lines] == NAMES
    assert all(len(line.split()) > 3 for line in lines)


def test_a_copy_is_the_notebooks_themselves_and_says_what_was_written(k2lab, tmp_path):
    folder = tmp_path / "new" / "mine"
    done = k2lab("notebooks", folder)
    assert done.returncode == 0 and done.stdout.split() == [str(folder / name) for name in NAMES]
    assert f"k2lab lab {folder}" in done.stderr
    for name in NAMES:
        assert (folder / name).read_bytes() == (paths.notebooks_dir() / name).read_bytes()


def test_nothing_is_overwritten_and_nothing_is_half_written(k2lab, tmp_path):
    (tmp_path / NAMES[1]).write_text("mine")
    one_line(k2lab("notebooks", tmp_path), f"has {NAMES[1]} already")
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[1]]
    assert (tmp_path / NAMES[1]).read_text() == "mine"


def test_a_folder_that_cannot_be_made(k2lab, tmp_path):
    (tmp_path / "file").write_text("")
    one_line(k2lab("notebooks", tmp_path / "file" / "in"), "cannot be written to")


def test_jupyterlab_is_not_started_on_a_folder_without_notebooks(k2lab, tmp_path):
    one_line(k2lab("lab", tmp_path, "--no-browser"), f"`k2lab notebooks {tmp_path}` copies them there")


def test_jupyterlab_opens_on_the_start_page_unless_told_otherwise(k2lab, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr("os.execv", lambda _, words: started.append(words))
    k2lab("notebooks", tmp_path)
    for flags in ((), ("--LabApp.default_url=/tree",)):
        k2lab("lab", tmp_path, *flags)
    assert started[0][3:] == [f"--ServerApp.root_dir={tmp_path}", "--LabApp.default_url=/lab/tree/0_start.ipynb"]
    assert started[1][3:] == [f"--ServerApp.root_dir={tmp_path}", "--LabApp.default_url=/tree"]


@pytest.mark.parametrize(
    ("library", "said"),
    [
        ("aiohttp", "k2lab[bench]"),
        ("openai.types", "k2lab[bench]"),  # in two extras: the smaller one
        ("nbformat", "k2lab[notebook]"),
        ("IPython", "k2lab[notebook]"),
        ("transformers", "k2lab[code]"),
        ("jsonschema_rs", "k2lab"),
    ],
)
def test_a_missing_library_names_the_smallest_extra_that_brings_it(library, said):
    line = extras.advice(ModuleNotFoundError(name=library), "k2lab check")
    assert line == f"k2lab check needs {library.split('.')[0]}: pip install '{said}'"


@pytest.mark.parametrize("library", ["k2lab.nowhere", "pytest", "", None])
def test_a_missing_library_that_k2lab_never_asks_for_is_a_fault_and_no_advice(library):
    assert extras.advice(ModuleNotFoundError(name=library), "k2lab check") is None
