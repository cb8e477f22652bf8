"""The catalogue as one: every entry by its name, found by code or name, chosen by the beginning of a code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from k2lab.errors import InputError
from k2lab.findings.entries import Entry
from k2lab.findings.known import answers, enforcement, outputs, prompts, requests, servers, tools

CATALOGUE: Mapping[str, Entry] = MappingProxyType(
    {
        entry.name: entry
        for subject in (requests, tools, prompts, outputs, answers, servers, enforcement)
        for entry in subject.ENTRIES
    }
)
"""Each entry by its name, in the order of the codes."""

_BY_CODE = {entry.code: entry for entry in CATALOGUE.values()}


def entry_of(word: str) -> Entry:
    """The entry of a code or a name; raises :class:`~k2lab.errors.InputError` with what comes near.

    >>> entry_of("P001").name == entry_of("generation_prompt_dropped").name == "generation_prompt_dropped"
    True
    """
    found = _BY_CODE.get(word.upper()) or CATALOGUE.get(word.lower().replace("-", "_"))
    if found is None:
        raise InputError(f"{word[:80]!r} is no code of a finding{_nearest(word)}: k2lab explain lists them")
    return found


def chosen(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> frozenset[str]:
    """Names of the entries whose codes begin as ``select`` says (all, where it is empty) and not as ``ignore`` does.

    A word is a code, the beginning of one, or a name; the longest that fits an
    entry decides. Raises :class:`~k2lab.errors.InputError` for one that fits none.

    >>> sorted(chosen(["P", "R001"], ["P0"])) == ["foreign_call_id"]
    True
    """
    wanted, unwanted = list(map(_prefix, select)), list(map(_prefix, ignore))
    return frozenset(
        name
        for name, entry in CATALOGUE.items()
        if (not wanted or _fits(entry, wanted)) and _fits(entry, wanted) >= _fits(entry, unwanted)
        and not (not wanted and _fits(entry, unwanted))
    )  # fmt: skip


def _prefix(word: str) -> str:
    code = word.strip().upper()
    if code and any(known.startswith(code) for known in _BY_CODE):
        return code
    return entry_of(word.strip()).code


def _fits(entry: Entry, prefixes: Iterable[str]) -> int:
    """The length of the longest of the prefixes that the entry's code has."""
    return max((len(prefix) for prefix in prefixes if entry.code.startswith(prefix)), default=0)


def _nearest(word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word.lower().replace("-", "_"), CATALOGUE, n=1)
    return f" (do you mean {CATALOGUE[near[0]].code}, {near[0]}?)" if near else ""
