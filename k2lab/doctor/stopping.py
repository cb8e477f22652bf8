"""What ends an answer, by a folder's configurations: whether the token that ends a message is among it.

vLLM ends an answer at the tokenizer's ``eos_token`` and at each id under
``eos_token_id`` of ``generation_config.json``, or of ``config.json`` where that
is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from k2lab.errors import K2LabError, first_line
from k2lab.findings import Finding
from k2lab.prompt import files
from k2lab.prompt.source import Source

GENERATION, MODEL = "generation_config.json", "config.json"


def of_end(source: Source, end: str) -> Finding:
    """Whether ``end``, a token's text, ends an answer of the folder's model."""
    name = "end_of_message_no_stop"
    try:
        tokenizer = source.tokenizer
        if tokenizer is None or source.folder is None:
            return Finding.of(name, "unknown", "there is no tokenizer")
        ids = tokenizer.encode(end)
        named = _named(source.folder)
        stops = dict(_stops(source.folder))
    except (K2LabError, ValueError) as error:
        return Finding.of(name, "unknown", first_line(error))
    if named == end:
        return Finding.of(name, "absent", f"{end} is the eos_token of {files.CONFIG}")
    for file, found in stops.items():
        if len(ids) == 1 and ids[0] in found:
            return Finding.of(name, "absent", f"{end}, {ids[0]}, is under eos_token_id in {file}")
    if named is None and not stops:
        return Finding.of(name, "unknown", f"neither {files.CONFIG} nor {GENERATION} says what ends an answer")
    told = [f"eos_token_id of {file} is {sorted(found)}" for file, found in stops.items()]
    told += [] if named is None else [f"eos_token is {named}"]
    return Finding.of(name, "present", f"{end} is {ids[0] if len(ids) == 1 else 'no token'}; {', '.join(told)}")


def _named(folder: Path) -> str | None:
    token = files.read_object(folder / files.CONFIG).get("eos_token")
    return files.token_text(token) if token is not None and files.is_token(token) else None


def _stops(folder: Path) -> Iterator[tuple[str, frozenset[int]]]:
    file = GENERATION if files.is_file(folder / GENERATION) else MODEL
    given = files.read_object(folder / file).get("eos_token_id")
    ids = given if isinstance(given, list) else [given]
    if found := frozenset(one for one in ids if type(one) is int):
        yield file, found
