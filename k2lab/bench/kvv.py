"""Requests of a checkout of MoonshotAI/Kimi-Vendor-Verifier, K2VV's successor, as samples of our own runner.

Two of its checks are data, and are read as that; nothing of the checkout is
run. Its prompts come with the number of tokens that they have, which becomes a
label. Its schemas, each right in Moonshot's own flavour, become one required
call each, in our own words. Its checks of parameters and of K3's features are
programs, and stay there, as do its prompts with pictures.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2lab import files, jsonread, kept
from k2lab.errors import InputError

PROMPTS = Path("testdata", "prompt_token_cases", "cases.jsonl")
SCHEMAS = Path("testdata", "walle_validator_cases", "validator_cases")

POINTER = b"version https://git-lfs"
"""How a file begins that Git LFS has not fetched."""

LONGEST = 1000
"""Characters that a schema may ask of one string: an answer of ``MAX_TOKENS`` holds no more."""

MAX_TOKENS = 2048

ASKED = (
    "Call the tool once. Its argument `value` has a schema: write the smallest value that keeps to it, with every"
    " property that it requires. Answer with the call alone."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A request, where it stands in the checkout, and how many tokens its prompt has, where that is said."""

    name: str
    request: Mapping[str, Any]
    prompt_tokens: int | None = None


def write(checkout: Path, folder: Path) -> list[Path]:
    """Write ``schemas.jsonl``, ``prompts.jsonl`` and ``prompts.labels.jsonl`` into a folder; returns the paths.

    Raises :class:`InputError` for a folder that is no such checkout, for a file
    that Git LFS has not fetched, and with the line of a case that is none.
    """
    schemas, prompts = list(schema_cases(checkout)), list(prompt_cases(checkout))
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _write_lines(folder / "schemas.jsonl", (case.request for case in schemas)),
        _write_lines(folder / "prompts.jsonl", (case.request for case in prompts)),
        _write_lines(folder / "prompts.labels.jsonl", itertools.starmap(_label, enumerate(prompts, 1))),
    ]


def prompt_cases(checkout: Path) -> Iterator[Case]:
    """Its prompts of text, with the number of their tokens."""
    for number, case in _lines(checkout / PROMPTS):
        request, tokens = case.get("request"), case.get("expected_prompt_tokens")
        if not isinstance(request, dict) or not isinstance(request.get("messages"), list) or type(tokens) is not int:
            raise InputError(f"case {number} of {checkout / PROMPTS} lacks a request or its expected_prompt_tokens")
        yield Case(name=str(case.get("id") or number), request=request, prompt_tokens=tokens)


def schema_cases(checkout: Path) -> Iterator[Case]:
    """A required call for each of its schemas, but for those that ask for a string longer than any answer."""
    suites = sorted((checkout / SCHEMAS).glob("*/valid.jsonl"))
    if not suites:
        raise InputError(f"{checkout} has no {SCHEMAS}: is it a checkout of MoonshotAI/Kimi-Vendor-Verifier?")
    for path in suites:
        for number, schema in _lines(path):
            shortest = schema.get("minLength")
            if not isinstance(shortest, int) or shortest <= LONGEST:
                name = f"{path.parent.name}:{number}"
                yield Case(name=name, request=_forced(name, schema))


def as_parameters(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with one argument, ``value``, of that schema; what it defines, and itself as a whole, is still found.

    >>> as_parameters({"type": "string"})["properties"]
    {'value': {'type': 'string'}}
    """
    definitions = dict(schema.get("$defs") or {})
    value = {name: part for name, part in schema.items() if name not in ("$defs", "$id")}
    if "#" in _refs(schema):
        name = "whole"
        while name in definitions:
            name += "_"
        definitions = {**_moved(definitions, name), name: _moved(value, name)}
        value = {"$ref": f"#/$defs/{name}"}
    return {
        "type": "object",
        "properties": {"value": value},
        "required": ["value"],
        "additionalProperties": False,
        **({"$defs": definitions} if definitions else {}),
    }


def _forced(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The tool's description names the case, so that whoever looks at a request knows which it is."""
    function = {"name": "submit", "description": f"Takes one value ({name}).", "parameters": as_parameters(schema)}
    return {
        "messages": [{"role": "user", "content": ASKED}],
        "tools": [{"type": "function", "function": {**function, "strict": True}}],
        "tool_choice": "required",
        "max_tokens": MAX_TOKENS,
    }


def _refs(value: object) -> Iterator[object]:
    """Every ``$ref`` of a schema."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _refs(part)
    if isinstance(value, dict) and "$ref" in value:
        yield value["$ref"]


def _moved(value: Any, name: str) -> Any:
    """A schema in which what meant the whole means that definition."""
    if isinstance(value, dict):
        target = f"#/$defs/{name}"
        return {key: target if (key, part) == ("$ref", "#") else _moved(part, name) for key, part in value.items()}
    return [_moved(part, name) for part in value] if isinstance(value, list) else value


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in files.lines(path, "cases"):
        if line.startswith(POINTER):
            raise InputError(f"cases {path} were not fetched: run `git lfs pull` in the checkout")
        try:
            value = jsonread.read_json(line)
        except ValueError as error:
            raise InputError(f"cases {path}, line {number} is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise InputError(f"cases {path}, line {number} is no JSON object")
        yield number, value


def _label(data_index: int, case: Case) -> dict[str, Any]:
    """As K2VV writes a result, of which no more is known than how long its prompt is."""
    return {
        "data_index": data_index,
        "case": case.name,
        "request": case.request,
        "response": {"usage": {"prompt_tokens": case.prompt_tokens}},
        "status": "success",
        "finish_reason": None,
    }


def _write_lines(path: Path, values: Iterable[Mapping[str, Any]]) -> Path:
    with kept.replacing(path, private=True) as fresh:
        fresh.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path
