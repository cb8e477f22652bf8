"""A proxy that a cell starts: it passes on, and it ends with the block."""

import os
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

import k2lab
from k2lab.errors import EngineError
from k2lab.nano import agent, office
from k2lab.notebook.proxying import proxied
from k2lab.server.endpoint import Endpoint
from k2lab.traffic.recordpages import Where, paged
from tests.conftest import ROOT
from tests.helpers.oracle import oracle


def metrics(through):
    with urllib.request.urlopen(through.base_url.removesuffix("/v1") + "/k2lab/metrics") as answer:
        return answer.read().decode()


def wait_for(happened, seconds=60):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def listening_for(port):
    return [c for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == psutil.CONN_LISTEN]


def test_an_agent_is_answered_through_it_and_it_ends_with_the_block_and_with_its_parent():
    with oracle() as server:
        with proxied(Endpoint(server.url)) as through:
            assert through.base_url != server.url and through.model == "k2-nano"
            sessions = agent.run_sessions(through, sessions=2, asks_each=2, stream=True)
            port = int(through.base_url.split(":")[2].split("/")[0])
            assert listening_for(port)
        assert str(agent.answered(sessions)).startswith("4 of 4") and not listening_for(port)
        code = (
            "import os; from k2lab.server.endpoint import Endpoint; from k2lab.notebook.proxying import proxied\n"
            f"with proxied(Endpoint({server.url!r})) as it: print(it.base_url, flush=True); os.kill(os.getpid(), 9)"
        )
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    port = int(told.stdout.split(":")[2].split("/")[0])
    end = time.monotonic() + 30
    while listening_for(port) and time.monotonic() < end:
        time.sleep(0.1)
    assert not listening_for(port)


def test_what_passes_is_in_its_record_at_the_end_of_the_block_looked_at_and_without_keys(tmp_path):
    record, key = tmp_path / "traffic.db", "sk-canary-0123456789abcdefghij"
    with oracle() as server, proxied(Endpoint(server.url), "--redact-pattern", "oslo=Osl.", record=record) as through:
        with_key = Endpoint(through.base_url, "k2-nano", api_key=key)
        agent.run_sessions(with_key, sessions=2, asks_each=2, ids="call")
        with_key.chat(k2lab.Request.of([{"role": "user", "content": f"Count a hotel in Oslo, my key is {key}"}],
                                       [*office.declared(["count_hotel"])]))  # fmt: skip
        wait_for(lambda: 'findings_total{code="R001"' in metrics(through))  # it looks beside the traffic
    with paged(record) as pages:
        assert pages.count(Where(status=200)) == 9 and pages.tally().codes["R001"] >= 1
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"canary" not in kept and record.stat().st_mode & 0o077 == 0


def test_one_that_does_not_start_says_why():
    with oracle() as server, pytest.raises(EngineError, match=r"No such option .--no-such"):  # noqa: SIM117
        with proxied(Endpoint(server.url), "--no-such"):
            pass
