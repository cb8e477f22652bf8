"""The files of docs/deploy: systemd, a compose file's reader and the command itself take them."""

import re
import shutil
import subprocess

import pytest
import yaml

from k2lab.cli import traffic
from tests.conftest import ROOT

DEPLOY = ROOT / "docs" / "deploy"
KNOWN = {name for parameter in traffic.proxy_command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def options_of(text):
    command = text[text.index("k2lab proxy ") :]
    return set(re.findall(r"(?<!\S)--[a-z-]+", command))


def test_the_unit_is_one_that_systemd_takes_and_its_options_are_the_commands(tmp_path):
    text = (DEPLOY / "k2lab-proxy.service").read_text()
    command = text.split("ExecStart=")[1].split("Restart=")[0]
    assert options_of(command) and options_of(command) <= KNOWN
    grace = next(p.default for p in traffic.proxy_command.params if p.name == "grace")
    assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > grace
    if shutil.which("systemd-analyze"):
        unit = tmp_path / "k2lab-proxy.service"
        unit.write_text(text.replace("/opt/k2lab/bin/k2lab", shutil.which("true")))
        done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and str(unit) not in done.stderr, done.stderr


def test_the_compose_file_starts_a_server_that_only_the_guard_reaches():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert set(services) == {"vllm", "guard"} and "ports" not in services["vllm"]
    guard = services["guard"]
    assert guard["ports"] == ["127.0.0.1:8001:8001"]  # this machine alone
    assert options_of(guard["command"]) <= KNOWN and "--key-file" in guard["command"]
    assert guard["read_only"] and guard["cap_drop"] == ["ALL"]
    assert set(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["volumes"]) == {"models", "record"}


def test_the_scrape_asks_where_the_counters_are():
    job = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"][0]
    assert job["metrics_path"] == "/k2lab/metrics" and job["static_configs"][0]["targets"] == ["127.0.0.1:8001"]


@pytest.mark.parametrize("name", sorted(path.name for path in DEPLOY.iterdir()))
def test_the_guide_shows_each_of_them(name):
    assert name in (ROOT / "docs" / "guides" / "guard.md").read_text()
