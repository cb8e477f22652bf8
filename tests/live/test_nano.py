"""k2-nano on a live server."""

from k2lab.nano import evaluate, synth
from k2lab.server.endpoint import Endpoint


def test_held_out_turns_through_the_live_server(servers):
    cases = synth.cases("held-out", 99, 150, ("call", "undeclared", "small_talk"))
    exact = evaluate.exact_by_kind(evaluate.run(Endpoint(servers["0.32.0 current"]), cases))
    assert exact["call"].value >= 0.9 and exact["small_talk"].value >= 0.9
