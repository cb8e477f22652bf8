"""A ``tokenizer.json`` by the library ``tokenizers``, completed as transformers completes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence, Set
from functools import cached_property
from typing import TYPE_CHECKING

from k2lab.prompt.files import Config, is_token, token_text

if TYPE_CHECKING:
    import tokenizers

FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
"""How an added token is found in a text."""


class FastTokenizer:
    """A ``tokenizer.json`` behind :class:`~k2lab.prompt.tokenizers.Tokenizer`."""

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self._backend = backend

    @classmethod
    def of_files(cls, data: bytes, config: Config, named: Iterable[str | Config]) -> FastTokenizer:
        """Of a file's bytes, with the added tokens that the configuration names; raises what the library raises."""
        import tokenizers

        backend = tokenizers.Tokenizer.from_buffer(data)
        _complete(backend, config, list(named))
        return cls(backend)

    def encode(self, text: str) -> list[int]:
        """Token ids; added tokens in the text are parsed."""
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: list[int]) -> str:
        """The text, markers included."""
        return str(self._backend.decode(ids, skip_special_tokens=False))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each id stands, as the library says."""
        return list(self._backend.encode(text, add_special_tokens=False).offsets)

    def encode_plain(self, text: str) -> list[int]:
        """Token ids, no added token being read."""
        return list(self._plain.encode(text, add_special_tokens=False).ids)

    def spans_plain(self, text: str) -> list[tuple[int, int]]:
        """Where each of these stands, as the library says."""
        return list(self._plain.encode(text, add_special_tokens=False).offsets)

    @cached_property
    def _plain(self) -> tokenizers.Tokenizer:
        """The same without its added tokens."""
        import tokenizers

        said = json.loads(self._backend.to_str())
        return tokenizers.Tokenizer.from_str(json.dumps({**said, "added_tokens": []}))


def _complete(backend: tokenizers.Tokenizer, config: Config, named: Sequence[str | Config]) -> None:
    """What transformers does to a ``tokenizer.json``: tokens that only the configuration names are added."""
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = bool(config.get("split_special_tokens"))
    there = list(backend.get_added_tokens_decoder().values())
    forms = {repr(token) for token in there}
    lacking = [token for token in _listed(config, set(map(token_text, named))) if repr(token) not in forms]
    known = {token.content for token in [*there, *lacking]}
    extra = config.get("extra_special_tokens") or config.get("additional_special_tokens")
    for value in [*named, *filter(is_token, extra if isinstance(extra, list) else ())]:
        if token_text(value) not in known:
            known.add(token_text(value))
            lacking.append(_added(value, special=True))
    if lacking:
        backend.add_tokens(lacking)


def _listed(config: Config, named: Set[str]) -> list[tokenizers.AddedToken]:
    """The tokens of ``added_tokens_decoder`` in the order of their ids; those that are named are special."""
    table = config.get("added_tokens_decoder") or {}
    entries = [table[token_id] for token_id in sorted(table, key=int)]
    return [_added(entry, special=entry.get("special", False) or entry["content"] in named) for entry in entries]


def _added(value: str | Config, *, special: bool) -> tokenizers.AddedToken:
    from tokenizers import AddedToken

    flags = {} if isinstance(value, str) else {key: value[key] for key in FLAGS if key in value}
    return AddedToken(token_text(value), special=special, **flags)
