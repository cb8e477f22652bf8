"""The commands on live servers."""

import json

from tests.conftest import TALK


def test_a_port_in_use(k2lab, servers):
    port = servers["0.32.0 current"].rsplit(":", 1)[1].removesuffix("/v1")
    done = k2lab("engine", "serve", "0.11.0", "--port", port)
    assert done.returncode == 1 and f"port {port} on 127.0.0.1 cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_commands_on_a_live_server(k2lab, servers, current):
    url = servers["0.32.0 current"]
    answer = json.loads(k2lab("chat", "--base-url", url, "--conversation", TALK).stdout)
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    plain = json.loads(k2lab("complete", "--base-url", url, "--source", current, "--conversation", TALK).stdout)
    assert "<|tool_calls_section_begin|>" in plain["choices"][0]["text"]
    ids = json.loads(k2lab("prompt-ids", "--base-url", url, "--conversation", TALK).stdout)["token_ids"]
    assert ids == json.loads(k2lab("render", "--source", current, "--conversation", TALK).stdout)["token_ids"]
    healthy = k2lab("probe", "--base-url", url, "--source", current, "--conversation", TALK)
    assert healthy.returncode == 0 and "✓ absent" in healthy.stdout
    sick = k2lab("probe", "--base-url", servers["0.11.0 legacy"], "--source", current, "--conversation", TALK, "--json")
    assert sick.returncode == 1
    assert [finding["state"] for finding in json.loads(sick.stdout)["findings"]] == ["present", "unknown", "absent"]
    assert "equal tokens" in k2lab("diff", servers["0.11.0 legacy"], current, "--conversation", TALK).stdout
    listed = k2lab("engine", "list").stdout
    assert "0.32.0     installed" in listed and url in listed
