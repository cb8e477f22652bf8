"""Earlier reasoning in prompts: what templates print of it, what a client's history makes of it, what it costs."""

import itertools

import pytest

from k2lab.nano import thinkingreplay
from k2lab.notebook.examples import conversation


@pytest.fixture(scope="module")
def sources():
    return thinkingreplay.family_sources()


@pytest.fixture(scope="module")
def talk():
    return conversation("thoughts")


PRINTED = {
    "K2": ([], "the role"),
    "K2-Thinking": ([5, 7], "the role"),
    "K2.5": ([5, 7], "<think>"),
    "K2.6": ([5, 7], "<think>"),
    "K2.7": ([1, 3, 5, 7], "<think>"),
}


@pytest.mark.parametrize("name", PRINTED)
def test_each_template_prints_the_thoughts_that_its_family_is_said_to(sources, talk, name):
    row = thinkingreplay.printed(sources[name], talk)
    found = [place for place in (1, 3, 5, 7) if row[f"thought of {place}"] == "printed"]
    assert (found, row["ends in"]) == PRINTED[name]


def test_switches_of_k2_6_keep_all_or_none(sources, talk):
    for variables, printed, end in (
        ({"preserve_thinking": True}, 4, "<think>"),
        ({"thinking": False}, 0, "<think></think>"),
    ):
        row = thinkingreplay.printed(sources["K2.6"], talk.with_template_kwargs(variables))
        assert (list(row.values()).count("printed"), row["ends in"]) == (printed, end)


def test_what_a_client_drops_is_gone_from_every_turn_and_nothing_else(talk):
    kept, gone = talk.to_json(), thinkingreplay.dropped(talk).to_json()
    assert not any("reasoning_content" in message for message in gone["messages"])
    for message in kept["messages"]:
        message.pop("reasoning_content", None)
    assert kept == gone


@pytest.mark.parametrize("name", ["K2-Thinking", "K2.6", "K2.7"])
def test_every_id_of_a_prompt_is_known_or_not(sources, talk, name):
    counts = thinkingreplay.recomputed(sources[name], talk)
    prompts = [ids for ids, _ in thinkingreplay._turns(sources[name], talk, lambda sent: sent)]
    assert len(prompts) == 5 and sum(counts.values()) == sum(map(len, prompts[1:]))


def test_a_template_that_keeps_all_goes_on_where_the_answer_ended(sources, talk):
    turns = list(thinkingreplay._turns(sources["K2.7"], talk, lambda sent: sent))
    for (prompt, answer), (following, _) in itertools.pairwise(turns):
        assert following[: len(prompt) + len(answer)] == (*prompt, *answer)
    dropped = thinkingreplay.recomputed(sources["K2.7"], talk, thinkingreplay.dropped)
    assert thinkingreplay.recomputed(sources["K2.7"], talk)["computed anew"] < dropped["computed anew"]
