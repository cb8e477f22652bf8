"""The parameters of a notebook: the literals of its ``parameters`` cell, and what was given in their place."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from k2lab import jsonread
from k2lab.errors import InputError, first_line
from k2lab.server.keys import KEY_VARIABLE, holds_secret
from k2lab.server.transport import checked_url

FILE_SUFFIX, FOLDERS = "_file", ("out", "source")
"""Names of parameters that are paths: a relative one is the caller's, while a notebook runs in its own folder."""

BASE_URL, SERVERS = "base_url", "servers"
"""Names of parameters that are a server's URL, and URLs by name."""

Given = Iterable[tuple[str, str]]
"""Names and texts; a name may say which notebook it is for: ``4_benchmark.requests``."""


def defaults(notebook: Any) -> dict[str, Any]:
    """Parameters and their default values: the literals of the cell tagged ``parameters``.

    Raises :class:`ValueError` where that cell holds something else.
    """
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            try:
                return _assigned(cell.source)
            except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
                why = "a value is none" if "malformed" in str(error) else first_line(error)
                raise ValueError(f"its cell of parameters is not literals alone: {why}") from None
    return {}


def _assigned(source: str) -> dict[str, Any]:
    """The names that a piece of Python gives literals to."""
    return {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def servers_of(values: Mapping[str, Any], notebook: str) -> dict[str, str]:
    """The servers that a notebook names, each with its URL, or an empty text where it is to be started."""
    named = values.get(SERVERS, {})
    if not isinstance(named, dict) or not all(isinstance(text, str) for pair in named.items() for text in pair):
        raise InputError(
            f"parameter servers of {notebook} must be an object of names and URLs, not {str(named)[:80]!r}"
        )
    return named


def given_for(notebook: str, given: Given) -> list[tuple[str, str]]:
    """What is given for one notebook: what names no notebook, and what names this one.

    >>> given_for("4_benchmark", [("4_benchmark.requests", "4000"), ("5_enforcer.requests", "9"), ("seed", "1")])
    [('requests', '4000'), ('seed', '1')]
    """
    split = [(*name.rpartition(".")[::2], text) for name, text in given]
    return [(name, text) for place, name, text in split if place in ("", notebook)]


def check_places(given: Given, notebooks: Iterable[str]) -> None:
    """Raises :class:`InputError` where a parameter is given for a notebook that is not run."""
    known = list(notebooks)
    for name, _ in given:
        place = name.rpartition(".")[0]
        if place and place not in known:
            raise InputError(f"parameter {name} is for notebook {place!r}, which is not run: {', '.join(known)} are")


def typed(given: Given, known: Mapping[str, Any], notebook: str) -> dict[str, Any]:
    """All parameters: the defaults, and over them the given texts read as the type of the default; paths absolute."""
    values = dict(known)
    for name, text in given:
        if name not in known:
            raise InputError(f"{notebook} has no parameter {name!r}: it has {', '.join(sorted(known)) or 'none'}")
        _refuse_secrets(name, text)
        value = _read(name, _absolute(name, text), known[name])
        values[name] = {**known[name], **value} if isinstance(value, dict) else value
    for name, value in values.items():
        _refuse_secrets(name, str(value))
        _check_urls(name, value)
    return values


def _refuse_secrets(name: str, text: str) -> None:
    """A parameter stands in the notebook that is run, and in its page."""
    if holds_secret(text):
        raise InputError(f"parameter {name} holds a user or a key: leave it out, and set {KEY_VARIABLE} instead")


def _check_urls(name: str, value: Any) -> None:
    """Raises :class:`InputError` for a server's URL that cannot be one, which is not repeated."""
    for url in value.values() if name == SERVERS and isinstance(value, dict) else [value] if name == BASE_URL else ():
        if not isinstance(url, str):
            raise InputError(f"parameter {name} must hold URLs as texts, or empty ones")
        if url:
            checked_url(url)


def _absolute(name: str, text: str) -> str:
    """A path that does not depend on the folder; a source that is no folder, such as ``hub:REPO@SHA``, stays."""
    is_path = name.endswith(FILE_SUFFIX) or (name in FOLDERS and (name != "source" or Path(text).is_dir()))
    return str(Path(text).absolute()) if text and is_path else text


def _read(name: str, text: str, default: Any) -> Any:
    kind = type(default)
    try:
        if kind is bool:
            value: Any = {"true": True, "false": False}[text.lower()]
        elif kind in (dict, list):
            value = jsonread.read_json(text)
            if type(value) is not kind:
                raise ValueError
        else:
            value = kind(text)
    except (KeyError, ValueError, TypeError):
        shown = {dict: "a JSON object", list: "a JSON list", bool: "true or false"}.get(
            kind, f"of type {kind.__name__}"
        )
        raise InputError(f"parameter {name} must be {shown}, not {text[:80]!r}; its default is {default!r}") from None
    return value
