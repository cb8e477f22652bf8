"""A long conversation that breaks a live 0.11.0, shrunk to what breaks it."""

import json

import k2lab
from k2lab.nano import synth
from k2lab.shrink import Live, shrunk


def test_forty_messages_and_twelve_tools_that_leak_a_call_become_five_and_one_or_fewer(servers):
    deep = synth.with_foreign_ids(synth.deep_cases("held-out", 7, 1, 10)[0].request, 10)
    others = [tool for case in synth.deep_cases("held-out", 99, 14, 1) for tool in case.request.tools]
    tools = {tool["function"]["name"]: tool for tool in (*deep.tools, *others)}
    asked = k2lab.Request.of(deep.messages, list(tools.values())[:12])
    sight = Live(k2lab.Endpoint(servers["0.11.0 current"]), budget=200)
    result = shrunk(asked, sight, fault="A113")
    assert result.before.messages >= 40 and result.before.tools == 12
    assert result.after.messages <= 5 and result.after.tools <= 1, json.dumps(result.data)
    assert sight.asked <= 200 and result.shows.count == result.shows.total == 10
