import shutil
import sys

import pytest

from k2lab import engine
from k2lab.nano import folders
from k2lab.notebook import servers
from tests.conftest import ROOT


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A vllm module that this interpreter can run; what it answers is not under test."""
    package = tmp_path / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    shutil.copyfile(ROOT / "tests" / "helpers" / "fake_vllm.py", package / "api_server.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path / "cache"))


def test_a_running_server_is_used_again_only_where_its_flags_agree(stand_in):
    plain, forced = f"{sys.executable} current", f"{sys.executable} current string"
    with servers.serving([forced]) as urls:
        found = servers.connect({forced: ""})
        assert found[forced].endpoint.base_url == urls[forced] and len(engine.running()) == 1
        other = servers.connect({plain: ""})[plain]
        assert other.endpoint.base_url != urls[forced] and other.folder == folders.assemble("current")
    for server in engine.running():
        engine.stop(server)
