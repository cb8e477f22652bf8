"""How an answer of K3 is held, and what cannot be, said before it is sent."""

import json
import time

import pytest

from k2lab.chat import Request
from k2lab.enforcer import MAX_CALLS, Options, ask, enforce, family_for
from k2lab.enforcer.enforcement import LARGEST_GRAMMAR_BYTES
from k2lab.enforcer.schema import KEY_TWICE
from k2lab.errors import InputError, UnsupportedError
from k2lab.server.endpoint import Endpoint
from tests.helpers.offered import CITY, TALK, TOOLS, enforced, many, string_tool, tool
from tests.helpers.xtml import MARKERS


@pytest.mark.parametrize(
    ("tools", "options", "said"),
    [
        ([tool("a"), tool("a")], {}, "two tools are called 'a'"),
        ([tool("a<|sep|>")], {}, "tool name 'a<|sep|>' cannot be written"),
        ([tool("a", {"properties": {"s": {"enum": ["<|open|>"]}}})], {}, "can be written in Kimi's format"),
        ([tool("a", {"properties": {"<|sep|>": {}}})], {}, "property '<|sep|>' cannot be written"),
        ([tool("a", {"type": "string"})], {}, "tool 'a': no object"),
        ([tool("a", {"properties": {"s": {"uniqueItems": True, "type": "array"}}})], {}, "a: /properties/s uniqueIt"),
        ([tool("a", {"properties": {"s": {"pattern": "^<[|]sep[|]>$"}}})], {}, "would hold what begins a marker"),
        (many(500, 6), {}, "500 tools and 8 calls make a grammar of .*max_calls"),
        (TOOLS, {"family": "K4"}, "'K4' is no family of Kimi's: name one of K2, "),
    ],
)
def test_what_cannot_be_enforced_is_said_in_one_line_within_a_second(tools, options, said):
    enforced(TOOLS, family="K3")  # what is imported is imported
    began = time.process_time()
    with pytest.raises((InputError, UnsupportedError), match=said.replace("|", "[|]")) as refused:
        enforced(tools, **{"family": "K3", **options})
    assert time.process_time() - began < 1 and "\n" not in str(refused.value)


def test_indexes_begin_at_one_in_each_message_and_names_are_free():
    history = [*TALK, {"role": "assistant", "tool_calls": [{"function": {"name": "now"}}] * 2}, *TALK]
    request = Request.of(history, [tool('R&D "x"')])
    made = enforce(request, options=Options(family="K3", max_calls=2))
    assert (made.family, made.first_index, made.markers) == ("K3", 1, MARKERS)
    assert 'R&amp;D &quot;x&quot;\\" index=' in made.grammar and '"3"' not in made.grammar
    assert enforce(request, options=Options(family="K3", first_index=5)).first_index == 5
    with pytest.raises(InputError, match="cannot stand in an id"):
        enforce(request)


def test_500_tools_are_written_within_a_second():
    began = time.process_time()
    made = enforced([tool(f"tool_{i}", CITY) for i in range(500)], family="K3", max_calls=1)
    assert time.process_time() - began < 1 and len(made.grammar) < LARGEST_GRAMMAR_BYTES


def test_a_tool_stands_once_however_many_calls_may_come():
    sizes = [len(enforced(many(20, 6), family="K3", max_calls=calls).grammar) for calls in (1, MAX_CALLS, 64)]
    assert sizes[1] < 1.5 * sizes[0] and sizes[2] < 6 * sizes[0]


def test_what_is_narrowed_and_what_may_stand_twice_is_named():
    made = enforced([*string_tool(maxLength=50), tool("open")], family="K3")
    assert "a string of at most 50 characters cannot hold <|o, <|c, <|s and <|e" in str(made.losses[0])
    [limit] = made.limits
    assert (limit.tool, limit.limit.keyword, limit.limit.asserted) == ("open", KEY_TWICE, False)
    assert enforced([tool("open")]).limits == ()


def test_options_say_a_family_only_where_it_writes_otherwise():
    assert "family" not in Options().to_json() and Options(family="K3").to_json()["family"] == "K3"
    assert [family_for(name) for name in ("kimi-k2.6", "kimi-k3", "other", "")] == ["K2", "K3", "K2", "K2"]


def test_the_command_takes_the_family_that_is_given_or_that_of_the_model(k2lab, tmp_path, shared):
    file = shared / "reports" / "74-k3-enforce" / "T.json"
    wanted = enforced(json.loads(file.read_text()), family="K3").tag
    given = k2lab("enforce", "--tools", file, "--family", "k3")
    assert json.loads(given.stdout) == wanted
    assert "no string or key can contain <|open|>, <|close|>, <|sep|> or <|end_of_msg|>" in given.stderr
    assert "no call that is begun in it" in given.stderr
    begun = k2lab("enforce", "--tools", file, "--family", "k3", "--thinking", "begun")
    assert "no call that is begun in it" not in begun.stderr and "<|close|>think<|sep|>" in begun.stdout
    request = tmp_path / "r.json"
    request.write_text(
        json.dumps({"model": "moonshotai/Kimi-K3", "messages": TALK, "tools": json.loads(file.read_text())})
    )
    found = k2lab("enforce", "--tools", request)
    assert json.loads(found.stdout) == wanted
    assert "K3, by the name of the model 'moonshotai/Kimi-K3'" in found.stderr
    plain = k2lab("enforce", "--tools", file)
    assert "functions." in plain.stdout and "held to the calls of K2" in plain.stderr
    assert "reasoning" not in plain.stderr
    wrong = k2lab("enforce", "--tools", file, "--family", "llama")
    assert wrong.returncode == 1 and "name one of K2, " in wrong.stderr


def test_a_server_of_k3_is_asked_for_an_argument_that_no_tool_declares(plain_server):
    with pytest.raises(UnsupportedError, match="vllm: it is ignored: no call came"):
        ask.form_of(Endpoint(plain_server.url, "kimi-k3"), ["vllm"])
    [sent] = plain_server.received
    grammar = json.loads(sent["structured_outputs"]["structural_tag"])["format"]["grammar"]
    assert sent["tools"] == [ask.PROBE_TOOL] and "k2lab_probe" in grammar and '"77"' in grammar
