"""Families are told by name and by template, and nobody else tells them."""

import ast
import json
import re

import pytest

from k2lab import families
from k2lab.prompt import templates
from k2lab.prompt.declaration import declared
from tests.conftest import ROOT

KNOWN = [families.K2, families.K2_THINKING, families.K2_5, families.K2_6, families.K2_7, families.K3]


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("K3", ["kimi-k3", "kimi-code/k3", "kimi-k3:cloud", "moonshotai/Kimi-K3-Instruct", "k3", "KIMI_K3", "kimik3"]),
        ("K2", ["kimi-k2", "kimi-k2-k3000", "kimi-k2-0905-preview", "kimi-k2-250905", "moonshotai/Kimi-K2-Instruct"]),
        ("K2-Thinking", ["kimi-k2-thinking", "moonshotai/Kimi-K2-Thinking", "kimi-k2-thinking-turbo"]),
        ("K2.5", ["kimi-k2.5", "accounts/fireworks/models/kimi-k2p5", "kimi_k25", "nvidia/Kimi-K2.5-NVFP4"]),
        ("K2.6", ["kimi-k2.6", "kimi-k2-6"]),
        ("K2.7", ["Kimi-K2.7-Code", "/models/k2/kimi-k2.7"]),
        (None, ["k30", "k3000", "kimi-for-coding", "llama-3", "kimi-k2.8", "kimi-latest", ""]),
    ],
)
def test_families_by_the_names_that_people_use(family, names):
    known = {name: families.of_model(name) for name in names}
    assert {name: one and one.name for name, one in known.items()} == dict.fromkeys(names, family)
    assert all(one.numbers_ids == (family != "K3") for one in known.values() if one)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        (templates.OLD, "K2"),
        (templates.CURRENT, "K2"),
        ("moonshotai-Kimi-K2-Thinking", "K2-Thinking"),
        ("moonshotai-Kimi-K2.5", "K2.5"),
        ("moonshotai-Kimi-K2.6", "K2.6"),
        ("moonshotai-Kimi-K2.7-Code", "K2.7"),
        ("moonshotai-Kimi-Linear-48B-A3B-Instruct", "K2"),
        ("moonshotai-Moonlight-16B-A3B-Instruct", None),
    ],
)
def test_a_template_tells_its_family(name, family):
    found = families.of_template(templates.read(name))
    assert (found.name if found else None) == family


def test_no_other_room_compares_the_name_of_a_family():
    """What differs between families is a field of their record."""
    names = {known.name.lower() for known in KNOWN} | {"k3", "k2"}
    found = []
    for path in sorted((ROOT / "k2lab").rglob("*.py")):
        if path.parent.name == "families":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            constants = [part for part in ast.walk(node) if isinstance(part, ast.Constant)] if compares(node) else []
            found += [(path.name, node.lineno) for part in constants if str(part.value).lower() in names]
    assert found == []


def compares(node):
    return isinstance(node, ast.Compare | ast.MatchValue)


def test_a_familys_special_tokens_are_those_of_the_tokenizer(shared):
    table = json.loads((shared / "kimi-tokenizer" / "special_tokens.json").read_text())
    texts = {entry["content"] for entry in table.values()}
    assert len(texts) > 10
    for family in KNOWN[:-1]:
        missed = {text for text in texts if not re.fullmatch(family.added_tokens, text)}
        assert all("think" in text or "media" in text or "video" in text for text in missed), (family.name, missed)


def test_a_family_whose_declaration_is_not_known_leaves_the_tools_as_they_came():
    tools = [{"type": "function", "function": {"parameters": {}, "name": "b"}}]
    assert declared(tools, families.K3).tools == tuple(tools)
    assert json.dumps(declared(tools, families.K2).tools) != json.dumps(tools)


def test_what_is_not_known_is_held_to_no_familys_own_rules():
    assert families.UNKNOWN.numbers_ids and families.UNKNOWN.reads_pictures
    assert not families.UNKNOWN.reads_reasoning and families.UNKNOWN.replays == "none"
