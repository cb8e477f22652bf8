"""Text to token ids and back: by a ``tokenizer.json``, by Kimi's ``tiktoken.model``, or by a folder's own class."""

from __future__ import annotations

import binascii
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from k2lab.errors import InputError, SourceError, first_line
from k2lab.prompt.files import CONFIG, added_tokens, read_bytes, read_object

if TYPE_CHECKING:
    import tiktoken

KIMI_FILE = "tiktoken.model"
"""The ranks of Kimi's tokenizer, in tiktoken's format."""

KIMI_SPLIT = "|".join(
    [
        r"[\p{Han}]+",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
"""How Kimi's tokenizer cuts text before BPE: runs of Han, words split where the
case turns, up to three digits, punctuation, newlines, white space."""

KIMI_ADDED_SLOTS = 256
"""Kimi's tokenizer reserves this many ids after its base vocabulary."""

KIMI_PIECE = 400_000
"""Characters that Kimi's tokenizer encodes at a time."""

KIMI_RUN = 25_000
LONG_RUN = re.compile(rf"\s{{{KIMI_RUN + 1},}}|\S{{{KIMI_RUN + 1},}}")
"""A run, all white space or none, longer than Kimi's tokenizer lets stand: it cuts each after so many characters."""

LONGEST_RUN = 16
"""Ids that together make whole characters, of a tokenizer that says nothing of places; a character has 4 bytes."""

Span = tuple[int, int]
"""Characters ``[start, end)`` of a text."""


class Tokenizer(Protocol):
    """Text to ids and back; added tokens in the text are parsed as such."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""

    def decode(self, ids: list[int]) -> str:
        """The text of ids, special tokens included; broken UTF-8 becomes U+FFFD."""

    def spans(self, text: str) -> list[Span]:
        """Where each id of a text stands in it; ids that share a character overlap there."""

    def encode_plain(self, text: str) -> list[int]:
        """Token ids of a text in which added tokens are text like any other."""

    def spans_plain(self, text: str) -> list[Span]:
        """Where each of these ids stands."""


class KimiTokenizer:
    """Kimi's own ``tiktoken.model``, read without running the code of its repository.

    Ids and splitting follow Moonshot's published tokenizer: base ranks, then
    256 added slots of which the unnamed read ``<|reserved_token_ID|>``. ``slots``
    are names of the first of them that go before those of the folder.
    """

    def __init__(self, folder: Path, *, slots: Sequence[str] = ()) -> None:
        path = folder / KIMI_FILE
        state = path.stat()
        self._ranks = (path, state.st_mtime_ns, state.st_size)
        self._named = tuple(sorted(_kimi_added(folder, lacking=bool(slots)).items()))
        self._slots = tuple(slots)

    @cached_property
    def _encoding(self) -> tiktoken.Encoding:
        return _kimi_encoding(*self._ranks, self._named, self._slots)

    def encode(self, text: str) -> list[int]:
        """Token ids; added tokens in the text are parsed, and long runs cut as Kimi's ``encode`` cuts them."""
        return [token for part in _cut(text) for token in self._encoding.encode(part, allowed_special="all")]

    def decode(self, ids: list[int]) -> str:
        """The text, markers included; U+FFFD for an id that this tokenizer has not, as another's may be."""
        try:
            return self._encoding.decode(ids)
        except (KeyError, OverflowError):
            return "".join(map(self._decode_one, ids)) if len(ids) > 1 else "\N{REPLACEMENT CHARACTER}"

    def _decode_one(self, token: int) -> str:
        return self.decode([token])

    def spans(self, text: str) -> list[Span]:
        """Where each id stands, by the bytes that it is of."""
        return list(_characters(self._encoding.decode_tokens_bytes(self.encode(text))))

    def encode_plain(self, text: str) -> list[int]:
        """Token ids, no added token being read; long runs are cut as above."""
        return [token for part in _cut(text) for token in self._encoding.encode_ordinary(part)]

    def spans_plain(self, text: str) -> list[Span]:
        """Where each of these stands, by the bytes that it is of."""
        return list(_characters(self._encoding.decode_tokens_bytes(self.encode_plain(text))))


class CodeTokenizer:
    """A folder's own tokenizer class, where it is not backed by a ``tokenizer.json``."""

    def __init__(self, hf_tokenizer: Any) -> None:
        self._hf = hf_tokenizer
        own = "allow_special_tokens" in inspect.signature(hf_tokenizer.encode).parameters
        self._options: dict[str, Any] = {} if own else {"add_special_tokens": False}
        self._plain: dict[str, Any] = (
            {"allow_special_tokens": False} if own else {"add_special_tokens": False, "split_special_tokens": True}
        )

    def encode(self, text: str) -> list[int]:
        """Token ids; Kimi's class parses added tokens where it is asked for nothing else."""
        return list(self._hf.encode(text, **self._options))

    def decode(self, ids: list[int]) -> str:
        """The text, markers included."""
        return str(self._hf.decode(ids))

    def spans(self, text: str) -> list[Span]:
        """Where each id stands, by what it decodes to; ids that make a character together share their place."""
        return self._spans(text, self.encode(text))

    def encode_plain(self, text: str) -> list[int]:
        """Token ids, no special token being read."""
        return list(self._hf.encode(text, **self._plain))

    def spans_plain(self, text: str) -> list[Span]:
        """Where each of these stands, by what it decodes to."""
        return self._spans(text, self.encode_plain(text))

    def _spans(self, text: str, ids: list[int]) -> list[Span]:
        found: list[Span] = []
        place, run = 0, list[int]()
        for token in ids:
            run.append(token)
            piece = self.decode(run)
            if text.startswith(piece, place):
                found += [(place, place + len(piece))] * len(run)
                place, run = place + len(piece), []
            elif len(run) > LONGEST_RUN:
                raise InputError(
                    f"this tokenizer's ids do not decode to the text from character {place} on:"
                    " give the tokenizer of the model itself"
                )
        return found + [(place, len(text))] * len(run)


@lru_cache(maxsize=4)
def _kimi_encoding(
    path: Path, changed_ns: int, size: int, named: Sequence[tuple[int, str]], first: Sequence[str]
) -> tiktoken.Encoding:
    """The tokenizer of a file of ranks; half a second's work, kept for as long as the file is what it was."""
    import tiktoken

    words = read_bytes(path).split()  # tiktoken's own reader keeps a copy by the path, whatever becomes of the file
    try:
        ranks = dict(zip(map(binascii.a2b_base64, words[::2]), map(int, words[1::2]), strict=True))
        _check_ranks(ranks)
        base = len(ranks)
        names = {number: text for number, text in named if text not in first} | dict(enumerate(first, base))
        slots = {names.get(i, f"<|reserved_token_{i}|>"): i for i in range(base, base + KIMI_ADDED_SLOTS)}
        return tiktoken.Encoding("kimi", pat_str=KIMI_SPLIT, mergeable_ranks=ranks, special_tokens=slots)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # tiktoken is in Rust, whose panics are no Exception
        raise SourceError(f"{path} is not a file of tiktoken's ranks: {first_line(error)}; fetch it again") from error


def _check_ranks(ranks: Mapping[bytes, int]) -> None:
    """What tiktoken takes for granted, and ends the process over where it is not so."""
    numbers = list(ranks.values())
    if numbers != list(range(len(numbers))) and len(set(numbers)) < len(numbers):  # the first is sooner known
        raise ValueError("two of its words have one rank")
    if missing := [value for value in range(256) if bytes([value]) not in ranks]:
        raise ValueError(f"no rank for the byte {missing[0]}")


def _kimi_added(folder: Path, *, lacking: bool) -> dict[int, str]:
    """Named added tokens by id, from ``tokenizer_config.json`` or a bare table of them, which may be ``lacking``."""
    table = read_object(folder / CONFIG).get("added_tokens_decoder") or read_object(folder / "special_tokens.json")
    if not table and not lacking:
        raise SourceError(f"{folder} has {KIMI_FILE} and no names of its added tokens: put its {CONFIG} beside it")
    return added_tokens(table, folder)


def _cut(text: str) -> Iterator[str]:
    """A text in the parts that Kimi's tokenizer encodes each for itself; joined they are the text."""
    for start in range(0, len(text), KIMI_PIECE):
        piece, begin = text[start : start + KIMI_PIECE], 0
        for run in LONG_RUN.finditer(piece):
            for cut in range(run.start() + KIMI_RUN, run.end(), KIMI_RUN):
                yield piece[begin:cut]
                begin = cut
        yield piece[begin:]


def _characters(parts: Iterable[bytes]) -> Iterator[Span]:
    """The characters that each part of a UTF-8 text has bytes of."""
    begun = 0
    for part in parts:
        goes_on = bool(part) and part[0] & 0xC0 == 0x80  # a byte within a character
        start = begun - goes_on
        begun += sum(byte & 0xC0 != 0x80 for byte in part)
        yield start, begun
