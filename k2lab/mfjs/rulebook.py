"""The rules of Moonshot Flavored JSON Schema (MFJS) as data: keywords, limits, and who refuses what.

Read from MoonshotAI/walle at 196bb0c (``docs/walle.md`` and the validator), whose
own cases decide where the two differ. Three stand behind a rule:

- ``server``: refused at every level of walle, or at its level ``strict``, which
  its README says that Moonshot's server needs. Most 400s that users report are of these.
- ``validator``: refused at walle's default level alone.
- ``documentation``: only ``walle.md`` says it; walle's code lets it pass.

What ``walle.md`` says of defaults (scalars alone, of the declared type) its cases
contradict, so that defaults are not judged; of whole numbers beyond 2^53 they
accept 10^16, so that those are judged by whether a double holds them.

Of names, ``format`` stands for the id of a call, ``functions.NAME:IDX``, and
``parser`` for that of a release of vLLM. ``k2lab`` stands for what is not judged
here at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

By = Literal["server", "validator", "documentation", "format", "parser", "k2lab"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a schema is refused: ``path`` is a JSON pointer in the schema, ``rule`` a name of :data:`RULES`.

    ``words`` say the cause, the value and what to do; ``by`` says who refuses.
    """

    path: str
    rule: str
    words: str
    by: By

    def __str__(self) -> str:
        return f"{self.path or '(root)'}: {self.words}"


ANNOTATIONS = frozenset({"description", "title"})
AT_THE_ROOT = frozenset({"$defs", "$id"})

_EVERYWHERE = ANNOTATIONS | {"type", "default"}
KEYWORDS: Mapping[str, frozenset[str]] = {
    "object": _EVERYWHERE | {"properties", "required", "additionalProperties"},
    "array": _EVERYWHERE | {"items", "minItems", "maxItems"},
    "string": _EVERYWHERE | {"enum", "minLength", "maxLength", "pattern"},
    "number": _EVERYWHERE | {"enum", "minimum", "maximum"},
    "integer": _EVERYWHERE | {"enum", "minimum", "maximum"},
    "boolean": _EVERYWHERE | {"enum"},
    "null": _EVERYWHERE | {"enum"},
}
"""What may stand beside each type; ``pattern`` is let through and, says the documentation, not held."""

SUPPORTED = frozenset[str]().union(*KEYWORDS.values()) | AT_THE_ROOT | {"anyOf", "$ref"}

COUNTED = (("minLength", "maxLength"), ("minItems", "maxItems"))
"""Bounds that count, and so are whole and not negative."""

RESERVED = frozenset({"$defs", "$ref", "anyOf", "required", "additionalProperties"})
"""What no property may be called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Most:
    """A limit: what ``walle.md`` allows, and what the validator's defaults allow since June 2026."""

    documented: int
    validator: int


PROPERTIES = Most(documented=100, validator=3000)
"""Properties of all objects together."""

LEVELS = Most(documented=5, validator=30)
"""Objects within properties of objects, references followed."""

BRANCHES = Most(documented=10, validator=500)
"""Schemas of one ``anyOf``."""

MOST_VALUES = 1000
"""Values of one ``enum``: ``walle.md`` says 500 in a schema, and the validator's own cases hold one of 600."""

MOST_BYTES = 120_000
"""A schema written as compact JSON, in which ``<``, ``>`` and ``&`` count six."""

MOST_TOOLS = 128
"""Functions of a request, says the documentation."""

MOST_REFUSALS = 500
"""A schema that is refused in more places is not judged to its end."""

RULES: Mapping[str, By] = {
    "not_json": "server",
    "not_an_object": "server",
    "number_too_large": "server",
    "nested_too_deeply": "k2lab",
    "and_more": "k2lab",
    "schema_too_large": "server",
    "too_many_properties": "server",
    "too_many_levels": "server",
    "too_many_branches": "server",
    "too_many_values": "server",
    "keyword_not_supported": "validator",
    "keyword_of_other_type": "validator",
    "keyword_beside_types": "server",
    "keyword_beside_any_of": "validator",
    "keyword_beside_ref": "validator",
    "not_at_root": "validator",
    "said_twice": "validator",
    "type_missing": "documentation",
    "type_unknown": "server",
    "type_not_a_name": "server",
    "types_empty": "server",
    "type_twice": "validator",
    "type_beside_any_of": "server",
    "type_beside_ref": "server",
    "properties_not_an_object": "server",
    "property_not_an_object": "server",
    "property_reserved": "server",
    "property_without_name": "validator",
    "property_twice": "documentation",
    "required_not_a_list": "server",
    "required_not_a_name": "server",
    "required_twice": "validator",
    "required_not_declared": "server",
    "required_without_type": "validator",
    "additional_properties_not_a_schema": "server",
    "items_not_an_object": "server",
    "items_empty": "documentation",
    "enum_not_a_list": "server",
    "enum_empty": "server",
    "enum_without_type": "server",
    "enum_types": "server",
    "enum_value_of_other_type": "server",
    "enum_null_after_number": "server",
    "any_of_not_a_list": "server",
    "any_of_empty": "server",
    "any_of_not_an_object": "server",
    "bound_not_a_number": "validator",
    "bound_not_whole": "validator",
    "bound_negative": "validator",
    "bounds_crossed": "validator",
    "number_not_exact": "documentation",
    "number_notation": "documentation",
    "pattern_not_a_text": "server",
    "description_not_a_text": "server",
    "title_not_a_text": "documentation",
    "id_not_a_text": "server",
    "defs_not_an_object": "server",
    "definition_not_an_object": "server",
    "definition_without_name": "server",
    "slash_in_definitions": "server",
    "ref_not_a_text": "server",
    "ref_not_local": "server",
    "ref_not_found": "server",
    "recursion_without_end": "server",
    "too_many_tools": "documentation",
    "tool_without_function": "documentation",
    "name_missing": "documentation",
    "name_form": "server",
    "name_length": "documentation",
    "name_not_in_id": "format",
    "name_repeated": "format",
    "name_cut": "parser",
    "parameters_missing": "documentation",
    "root_not_an_object": "documentation",
}
"""Each rule and who refuses what breaks it; a limit that only the documentation has is ``documentation``."""

INSTEAD: Mapping[str, str] = {
    "const": "write an enum of this one value",
    "oneOf": "write anyOf, which differs where two branches accept the same value",
    "allOf": "write its parts as one schema",
    "not": "say it in the description",
    "if": "say it in the description, or write the cases as anyOf",
    "then": "say it in the description, or write the cases as anyOf",
    "else": "say it in the description, or write the cases as anyOf",
    "exclusiveMinimum": "write minimum, for whole numbers one more",
    "exclusiveMaximum": "write maximum, for whole numbers one less",
    "definitions": "call it $defs",
    "nullable": 'write a list of types with "null"',
    "$schema": "leave it out",
    "$comment": "leave it out",
    "examples": "name them in the description",
    "format": "name it in the description",
    "prefixItems": "say in the description what stands where",
}
"""What to do about a keyword that is not supported; the description may say what has no keyword."""
