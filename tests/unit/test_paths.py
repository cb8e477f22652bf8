"""Where data and notebooks are found, and what is said where they are not."""

import pytest

from k2lab import paths
from k2lab.errors import InputError
from tests.conftest import ROOT


def test_a_clone_is_read_where_it_lies():
    assert paths.data_dir() == ROOT / "data" and paths.notebooks_dir() == ROOT / "notebooks"
    assert not paths.is_shipped(paths.data_dir())


@pytest.mark.parametrize(
    ("variable", "find"), [("K2LAB_DATA", paths.data_dir), ("K2LAB_NOTEBOOKS", paths.notebooks_dir)]
)
def test_a_folder_of_ones_own_goes_first_and_must_be_there(variable, find, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, str(tmp_path))
    assert find() == tmp_path
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=rf"^{variable}=.*nowhere is not a folder: set it to a folder, or unset it"):
        find()
