"""What k2lab knows by its digest and uses in its own process; all else of a folder is used in a confined one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

from k2lab.errors import InputError, RenderError, SourceError, first_line
from k2lab.prompt import templates
from k2lab.prompt.files import CONFIG, ChatTemplate, added_tokens, named_tokens, read_bytes, read_object
from k2lab.prompt.plaindata import Raised
from k2lab.prompt.tokenizers import Tokenizer

TOKENIZER = "tokenizer.json"


def filled(
    template: ChatTemplate,
    messages: Sequence[Mapping[str, object]],
    *,
    tools: Sequence[Mapping[str, object]] | None,
    variables: Mapping[str, object],
) -> str:
    """The text that a template makes, of one that is not known within limits.

    Raises :class:`~k2lab.errors.SourceError` for a limit that was reached,
    :class:`RenderError` for what cannot be continued, and
    :class:`~k2lab.prompt.plaindata.Raised` for whatever the template raises.
    """
    if template.sha256 not in templates.KNOWN:
        from k2lab.prompt import confined

        return confined.fill(
            f"the chat template {template.name}", template.text, messages, tools=tools, variables=variables
        )
    from k2lab.prompt import sandbox

    try:
        return sandbox.fill(template.text, messages, tools=tools, variables=variables)
    except RenderError:
        raise
    except Exception as error:
        raise Raised(type(error).__name__, first_line(error)) from error


def read_by(template: ChatTemplate) -> frozenset[str] | None:
    """The variables that a template reads; ``None`` for one that is not a template."""
    if template.sha256 not in templates.KNOWN:
        from k2lab.prompt import confined

        return confined.reads(f"the chat template {template.name}", template.text)
    from k2lab.prompt import sandbox

    return sandbox.reads(template.text)


def tokenizer_of(folder: Path) -> Tokenizer:
    """A folder's ``tokenizer.json``; raises :class:`~k2lab.errors.SourceError`."""
    data, config = read_bytes(folder / TOKENIZER), read_object(folder / CONFIG)
    added_tokens(config.get("added_tokens_decoder") or {}, folder)
    named, digest = list(named_tokens(folder, config).values()), sha256(data).hexdigest()
    if digest not in _own_tokenizers():
        from k2lab.prompt.confined import ConfinedTokenizer

        return ConfinedTokenizer(f"the tokenizer of {folder}", digest, data, config, named)
    from k2lab.prompt.fast import FastTokenizer

    try:
        return FastTokenizer.of_files(data, config, named)
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # what the library raises is of no narrower type, and its panics are no Exception
        raise SourceError(f"cannot load the tokenizer of {folder}: {first_line(error)}") from error


@cache
def _own_tokenizers() -> frozenset[str]:
    """Digests of those of k2-nano and its kin; none where their folders are not there."""
    from k2lab import paths

    try:
        found = sorted((paths.data_dir() / "models").glob(f"*/{TOKENIZER}"))
        return frozenset(sha256(path.read_bytes()).hexdigest() for path in found)
    except (InputError, OSError):
        return frozenset()
