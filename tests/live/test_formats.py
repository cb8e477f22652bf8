"""Each format against its standard's grammar, in the engine."""

import json

import pytest

from k2lab.enforcer.schema import formats, translate
from tests.helpers.formatted import INVALID, VALID
from tests.helpers.schemas import exact


@pytest.mark.parametrize("name", formats.FORMATS)
def test_the_engine_holds_a_format_on_both_sides(accepted, name):
    schema = exact(translate({"type": "string", "format": name}).schema)
    tag = {"type": "structural_tag", "format": {"type": "json_schema", "json_schema": schema}}
    texts = [json.dumps(text, ensure_ascii=False) for text in [*VALID[name], *INVALID[name]]]
    wanted = [True] * len(VALID[name]) + [False] * len(INVALID[name])
    found = accepted(tag, texts)
    assert [text for text, was, is_ in zip(texts, wanted, found, strict=True) if was != is_] == []
