"""What vLLM 0.32.0 makes of a call of Kimi K3 that begins while its reasoning is open."""

import subprocess

import pytest

from k2lab import engine
from tests.conftest import ROOT


@pytest.mark.long
def test_the_script_for_a_maintainer_shows_which_calls_are_lost_without_a_model():
    script = ROOT / "data" / "reproductions" / "k3_call_within_think.py"
    done = subprocess.run([str(engine.resolve("0.32.0").python), script], capture_output=True, text=True, check=True)
    found = [line.split()[-2:] for line in done.stdout.splitlines()[1:]]
    assert found == [
        ["whole", "get_weather"], ["streamed", "get_weather"], ["no", "call"], ["no", "call"], ["whole", "get_weather"],
        ["no", "call"],
    ]  # fmt: skip
