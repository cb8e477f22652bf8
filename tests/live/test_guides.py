"""The guide to a server of one's own, run on one that has a fault."""

import pytest

from k2lab.nano import folders
from tests.conftest import ROOT
from tests.helpers import pages


@pytest.mark.long
def test_the_guide_finds_the_dropped_generation_prompt(servers, tmp_path):
    source = str(folders.assemble("current"))
    env = {"BASE_URL": servers["0.11.0 legacy"], "SOURCE": source}
    pages.check(pages.marked(ROOT / "docs" / "guides" / "server.md", "live"), tmp_path, env)
