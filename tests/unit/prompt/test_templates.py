import pytest

from k2lab.errors import SourceError
from k2lab.prompt import templates


@pytest.mark.parametrize("name", sorted(templates.SHA256))
def test_pinned_templates_are_the_pinned_ones(name):
    assert templates.sha256(templates.read(name)) == templates.SHA256[name]


def test_a_template_that_is_not_the_pinned_one_is_refused(monkeypatch):
    monkeypatch.setitem(templates.SHA256, templates.CURRENT, "0" * 64)
    with pytest.raises(SourceError, match="pinned is 0000"):
        templates.read(templates.CURRENT)


@pytest.mark.parametrize("name", ["nope", "../_index", "/etc/passwd"])
def test_unknown_names_are_refused_with_the_known_ones(name):
    with pytest.raises(SourceError, match="Kimi-K2-Instruct-0905"):
        templates.read(name)


def test_the_variant_differs_by_the_generation_block_alone():
    whole = templates.read(templates.CURRENT)
    cut = templates.without_generation_block(whole)
    assert "add_generation_prompt" in whole and "add_generation_prompt" not in cut
    assert cut + templates.GENERATION_BLOCK == whole


def test_an_edit_of_another_text_fails_loudly():
    with pytest.raises(SourceError, match="it does 0 times"):
        templates.without_generation_block("no block here")
    with pytest.raises(SourceError, match="it does 2 times"):
        templates.edit("aa", "a", "b")
