"""Whether a value keeps a JSON Schema: jsonschema's verdict, at jsonschema-rs' speed where the two agree.

It is jsonschema's as K2-Vendor-Verifier's runner uses it (Draft 2020-12 unless
the schema says otherwise); a schema is compiled once. jsonschema-rs passes what
it finds valid, and leaves the rest, and keywords in which the two are known to
differ, to jsonschema. Nothing is fetched for a ``$ref``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Protocol

from k2lab import fastjson
from k2lab.errors import first_line

PYTHON_KEYWORDS = ('"pattern', '"multipleOf"', '"uniqueItems"', '"$dynamicRef"')
"""Keywords that the two validators do not read alike in every case: regular expressions, fractions, 1 and true."""

_SORTED = json.JSONEncoder(sort_keys=True)


class _Validator(Protocol):
    def is_valid(self, instance: object) -> bool: ...


def schema_error(schema: object, value: object) -> tuple[bool, str]:
    """``(judged, error)``: whether the schema is one at all, and what is wrong with the value; empty for nothing.

    >>> schema_error({"type": "object", "required": ["city"]}, {})
    (True, "$: 'city' is a required property")
    """
    compiled = _of(schema)
    if compiled.broken:
        return False, compiled.broken
    return True, compiled.error(value)


class _Compiled:
    """A schema ready for use, or why it is none."""

    def __init__(self, text: str) -> None:
        import jsonschema
        from jsonschema_specifications import REGISTRY

        schema = json.loads(text)
        self.broken = ""
        self._fast: _Validator | None = None
        try:
            validator = jsonschema.validators.validator_for(schema)
            validator.check_schema(schema)
            self._exact = validator(schema, registry=REGISTRY)  # without it, a $ref to a URL is fetched
        except Exception as error:
            self.broken = first_line(error)
            return
        if not any(keyword in text for keyword in PYTHON_KEYWORDS):
            self._fast = _fast(validator.__name__, schema)

    def error(self, value: Any) -> str:
        import jsonschema

        if self._fast is not None and _passes(self._fast, value):
            return ""
        try:
            found = jsonschema.exceptions.best_match(self._exact.iter_errors(value))
        except Exception as error:  # an unresolvable $ref, a pattern that is none: K2VV calls that invalid, too
            return first_line(error)
        return "" if found is None else f"{found.json_path}: {found.message}"[:300]


def _of(schema: object) -> _Compiled:
    """The schema compiled, found by a text of it that is made fast, but writes NaN as null."""
    text = fastjson.encoded(schema)
    return _compiled(_SORTED.encode(schema)) if b"null" in text else _of_text(text)


@lru_cache(maxsize=4096)
def _of_text(text: bytes) -> _Compiled:
    return _compiled(_SORTED.encode(json.loads(text)))


@lru_cache(maxsize=4096)
def _compiled(text: str) -> _Compiled:
    return _Compiled(text)


def _fast(draft: str, schema: object) -> _Validator | None:
    import jsonschema_rs

    try:
        made: _Validator = getattr(jsonschema_rs, draft)(schema, validate_formats=False)
    except Exception:  # what it cannot compile, or a draft it lacks, is left to jsonschema
        return None
    return made


def _passes(validator: _Validator, value: object) -> bool:
    try:
        return bool(validator.is_valid(value))
    except Exception:  # a value it cannot take, such as a lone surrogate
        return False
