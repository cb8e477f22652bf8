"""A template filled here is what transformers makes of it: held against transformers itself."""

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab import chat
from k2lab.errors import RenderError
from k2lab.prompt import sandbox, templates
from tests.conftest import ROOT
from tests.helpers.constructs import covering
from tests.helpers.filled import CASES, GOES_ON, SEARCH, USER, by_transformers, ours, outcome

pytestmark = pytest.mark.xdist_group("transformers")  # slow to import


@pytest.fixture(scope="module")
def transformers_fill():
    return by_transformers()


def differing(names, transformers_fill, cases):
    texts = {name: templates.read(name) for name in names}
    return [
        (name, case)
        for name, text in texts.items()
        for case, asked in cases.items()
        if outcome(ours, text, *asked) != outcome(transformers_fill, text, *asked)
    ]


@pytest.mark.parametrize("name", templates.named() + templates.named("Kimi"))
def test_every_template_of_kimi_is_filled_as_transformers_fills_it(name, transformers_fill):
    assert differing([name], transformers_fill, CASES) == []
    files = sorted((ROOT / "data" / "conversations").glob("*.json"))
    assert files
    talks = [chat.load(path).to_json() for path in files]
    asked = {str(n): (talk["messages"], talk["tools"], {"add_generation_prompt": True}) for n, talk in enumerate(talks)}
    assert differing([name], transformers_fill, asked) == []


def test_templates_of_other_models_are_filled_so_too(transformers_fill):
    few = {name: CASES[name] for name in ("a history", "arguments as an object", "a last message to be continued")}
    assert differing(templates.named("")[::12], transformers_fill, few) == []


@pytest.mark.long
def test_every_construct_that_any_template_uses_is_filled_so_too(transformers_fill):
    """Compiling the other templates, which use nothing that these do not, takes four times as long."""
    texts = {name: templates.read(name) for name in templates.named("")}
    chosen = covering(texts)
    assert 50 < len(chosen) < len(texts)
    assert differing(chosen, transformers_fill, CASES) == []


SMALL = {
    "tojson": "{{ messages | tojson }} {{ tools | tojson(indent=2) }} "
    "{{ {'b': 1, 'a': '<é'} | tojson(sort_keys=true) }}"
    "{{ [1, 2] | tojson(separators=(',', ':')) }} {{ 'é' | tojson(ensure_ascii=true) }} {{ 'é' | tojson(true) }}",
    "what is undefined as JSON": "{{ nothing | tojson }}",
    "trimmed blocks": "a\n  {% if true %}\n  b\n  {% endif %}\n c {#- d -#} e\n",
    "loop controls": "{% for n in range(9) %}{% if n == 1 %}{% continue %}{% endif %}"
    "{% if n > 3 %}{% break %}{% endif %}{{ n }}{% endfor %}",
    "generation": "{% generation %}{{ messages[0].content }}{% set x = 1 %}{% endgeneration %}{{ x }}",
    "generation that has no end": "{% generation %}x",
    "an exception": "{{ raise_exception('no: ' ~ messages[0].role) }}",
    "a date": "{{ strftime_now('%Y-%m-%d') }}",
    "namespace": "{% set ns = namespace(n=1, self=2) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ ns.self }}",
    "namespace of a dict": "{% set ns = namespace(dict(a=1)) %}{{ ns.a }}",
    "a namespace's hidden name": "{% set ns = namespace(__init__=1) %}",
    "a namespace's hidden name set later": "{% set ns = namespace() %}{% set ns._x = 1 %}{{ ns._x }}",
    "dict": "{{ dict(a=1, **{'b': 2}) }} {{ dict([('c', 3)]) }} {{ dict.fromkeys(['d'], 1) }}",
    "special tokens": "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token is defined }}",
    "what is defined": "{{ tools is defined }}{{ documents is defined }}{{ documents }}{{ add_generation_prompt }}",
    "a null field": "{{ messages[0].content is defined }}{{ messages[0] | tojson }}",
    "python's own": "{{ ''.__class__.__mro__ }}",
    "python's own by a filter": "{{ ''|attr('__class__') }}",
    "python's own by a format": "{{ '{0.__class__}'.format(1) }}",
    "a function's globals": "{{ raise_exception.__globals__ }}",
    "a dict's own": "{{ dict.__class__ }}{{ dict.mro() }}",
    "what changes the messages": "{{ messages.append(1) }}",
    "what changes a message": "{{ messages[0].update({'role': 'x'}) }}",
    "a long range": "{{ range(999999999) | list }}",
    "what is no template": "{% if %}",
}


@pytest.mark.parametrize("name", SMALL)
def test_the_language_of_templates_is_that_of_transformers(name, transformers_fill):
    asked = (SMALL[name], [{"role": "user", "content": None, "reasoning": "r"}], [SEARCH], {})
    assert outcome(ours, *asked) == outcome(transformers_fill, *asked)


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
EVERYTHING = (
    "{{ messages | tojson }}{% for m in messages %}{{ m.content }}{{ m.thinking }}{% endfor %}{{ extra | tojson }}"
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.just("user")},
            optional={"content": DATA, "reasoning": DATA, "thinking": DATA, "reasoning_content": DATA, "x": DATA},
        ),
        min_size=1,
        max_size=3,
    ),
    DATA,
)
def test_a_template_sees_what_it_sees_in_transformers(transformers_fill, messages, extra):
    asked = (EVERYTHING, messages, None, {"extra": extra})
    before = json.dumps(messages)
    assert outcome(ours, *asked) == outcome(transformers_fill, *asked)
    assert json.dumps(messages) == before


class Loud(str):
    """Text with a method of its own."""

    def __str__(self):
        raise AssertionError("its own code was run")

    def shout(self):
        raise AssertionError("its own code was run")


@pytest.mark.parametrize("value", [datetime.date(2026, 1, 1), {1, 2}, b"x", (1, (2,)), Loud("loud"), True, 2**70])
def test_a_template_gets_plain_data_whatever_it_is_handed(value, transformers_fill):
    asked = (
        "{{ messages[0].content }}{{ messages[0].content.shout is defined }}",
        [{"role": "user", "content": value}],
    )
    assert outcome(ours, *asked, None, {}) == outcome(transformers_fill, *asked, None, {})


def test_a_final_message_that_cannot_be_continued_is_told_in_plain_words():
    template = "{% for m in messages %}{{ m.content | upper }}{% endfor %}"
    with pytest.raises(RenderError, match="does not print the last message as it is"):
        sandbox.fill(template, [USER], variables=GOES_ON)
    with pytest.raises(RenderError, match="has no content to go on from"):
        sandbox.fill(template, [{"role": "assistant"}], variables=GOES_ON)
    with pytest.raises(RenderError, match="does not read name, which is to be continued"):
        sandbox.fill(template, [{"role": "user", "name": "x"}], variables={"continue_final_message": "name"})
    with pytest.raises(RenderError, match="are both set"):
        sandbox.fill(template, [USER], variables={**GOES_ON, "add_generation_prompt": True})


def test_what_a_template_reads_is_known_and_of_no_template_nothing():
    assert {"tools_ts_str", "thinking"} <= sandbox.reads(templates.read("moonshotai-Kimi-K2.5"))
    assert sandbox.reads("{% generation %}{{ a }}{% break %}{% endgeneration %}") is not None
    assert sandbox.reads("{% if %}") is None
