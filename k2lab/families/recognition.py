"""Which family a model is of, by its name, or a chat template, by its text."""

from __future__ import annotations

import re
from collections.abc import Collection

from k2lab.errors import InputError
from k2lab.families import special
from k2lab.families.k2 import K2, K2_THINKING
from k2lab.families.k3 import K3
from k2lab.families.k25 import K2_5, K2_6, K2_7
from k2lab.families.records import Family

NAME = re.compile(
    r"(?:(?<![a-z0-9])|(?<=kimi))"  # k3 as a word, or kimik3
    r"k(?:(?P<three>3)(?:[.p]\d+)?|2[._p-]?(?P<minor>[567])|(?P<two>2))"
    r"(?![a-z0-9]|[.]\d)"
)
"""Moonshot's ids (``kimi-k2.5``, ``kimi-k2-0905-preview``, ``k3``), and what hosts make of them (``kimi-k2p5``)."""

MINORS = {"5": K2_5, "6": K2_6, "7": K2_7}

UNKNOWN = Family(name="unknown", declares=None, reads_reasoning=False)
"""What is held of a model whose name says no family: the ids and the tokens of K2, and no faults where they differ."""


def of_model(name: str) -> Family | None:
    """The family that a model's name, path or repository says; ``None`` where it says none.

    >>> of_model("moonshotai/Kimi-K2-Thinking").name
    'K2-Thinking'
    >>> of_model("llama-3") is None
    True
    """
    text = name.lower()
    match = NAME.search(text, text.rfind("/") + 1) or NAME.search(text)
    if match is None:
        return None
    if match["three"]:
        return K3
    if match["minor"]:
        return MINORS[match["minor"]]
    return K2_THINKING if "thinking" in text[match.end() :] else K2


def of_template(template: str) -> Family | None:
    """The family whose conversations a chat template renders, by what it prints and reads; ``None`` for no Kimi's.

    >>> from k2lab.prompt import templates
    >>> of_template(templates.read("moonshotai-Kimi-K2.6")).name
    'K2.6'
    """
    text = _without_comments(template)
    if special.MIDDLE not in text or "tool_declare" not in text:
        return None
    if "tools_ts_str" not in text:
        return K2_THINKING if "<think>" in text else K2
    if "preserve_thinking" in text:
        return K2_6
    return K2_5 if re.search(r"\bthinking\b", text) else K2_7


FAMILIES = (K2, K2_THINKING, K2_5, K2_6, K2_7, K3)


def named(name: str) -> Family:
    """A family by its own name, or as a model's name says it; raises :class:`InputError`.

    >>> named("k3").name, named("K2-Thinking").name
    ('K3', 'K2-Thinking')
    """
    found = next((one for one in FAMILIES if one.name.lower() == name.lower()), None) or of_model(name)
    if found is None:
        raise InputError(f"{name[:60]!r} is no family of Kimi's: name one of {', '.join(one.name for one in FAMILIES)}")
    return found


def of_model_type(kind: object) -> Family | None:
    """The family that ``config.json`` says by its ``model_type``, where that is told of one alone."""
    return next((one for one in FAMILIES if kind is not None and one.model_type == kind), None)


def of_tokens(texts: Collection[str]) -> Family | None:
    """The family whose tokenizer has added tokens of these texts, where they alone say it.

    >>> of_tokens(["[BOS]", "<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>"]).name
    'K3'
    """
    return K3 if {special.OPEN, special.CLOSE, special.SEP, special.END_OF_MSG} <= set(texts) else None


def _without_comments(template: str) -> str:
    """A template's text without ``{# … #}``; one that does not end is left. Linear, whatever the text."""
    kept, place = [], 0
    while (begin := template.find("{#", place)) >= 0 and (end := template.find("#}", begin + 2)) >= 0:
        kept.append(template[place:begin])
        place = end + 2
    return "".join([*kept, template[place:]])
