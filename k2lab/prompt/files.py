"""What the files of a model folder say: its chat templates, its special tokens and its added tokens.

Read as transformers reads them: ``chat_template.jinja`` and the folder of
further ones go before what ``tokenizer_config.json`` holds, which is a template
or a list of named ones; where there are several, ``tool_use`` is for requests
with tools.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2lab import files as others
from k2lab.chat.checks import kind
from k2lab.errors import SourceError
from k2lab.prompt import templates

CONFIG = "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
FURTHER_TEMPLATES = "additional_chat_templates"
DEFAULT, WITH_TOOLS = "default", "tool_use"

MAX_BYTES = 256 << 20
"""Of a file: the largest that real folders hold, a ``tokenizer.json``, is of 30 MB."""

MAX_TEMPLATE_BYTES = 4 << 20
"""Of a chat template: the largest real one is of 30 kB."""

MOST_TEMPLATES = 64
"""Of a folder: real ones have up to three."""

Config = Mapping[str, Any]
"""A file of JSON, as it is."""


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """A template's text, and where it stands."""

    text: str
    name: str

    @property
    def sha256(self) -> str:
        """Digest of its text."""
        return templates.sha256(self.text)


@dataclass(frozen=True, kw_only=True)
class ChatTemplates:
    """A source's templates by name; most have one, ``default``."""

    by_name: Mapping[str, ChatTemplate]

    @classmethod
    def one(cls, text: str, name: str) -> ChatTemplates:
        """A single template."""
        return cls(by_name={DEFAULT: ChatTemplate(text=text, name=name)})

    @classmethod
    def none(cls, family: str) -> ChatTemplates:
        """No template, of a family whose prompts are made by code."""
        return cls.one("", f"none: the prompts of {family} are made by code")

    def chosen(self, *, tools: bool) -> ChatTemplate:
        """The one for a request with or without tools; raises :class:`SourceError` where there is none."""
        wanted = WITH_TOOLS if tools and WITH_TOOLS in self.by_name else DEFAULT
        if wanted not in self.by_name:
            raise SourceError(
                f"the source has the chat templates {', '.join(sorted(self.by_name))} and none named {DEFAULT}, which"
                " a request without tools wants" + ("" if tools else ": give it tools, or another source")
            )
        return self.by_name[wanted]

    @property
    def usual(self) -> ChatTemplate:
        """The default one, or the first by name where there is none."""
        return self.by_name.get(DEFAULT) or self.by_name[min(self.by_name)]


def read_object(path: Path) -> dict[str, Any]:
    """The object of a JSON file; empty for one that is not there. Raises :class:`SourceError` for what is not one."""
    if not is_there(path):
        return {}
    data = others.read_json(path, "the model folder's file", error=SourceError)
    if not isinstance(data, dict):
        raise SourceError(f"{path} holds {kind(data)}, not an object: fetch the file again")
    return data


def is_there(path: Path) -> bool:
    """Whether anything stands at a path, a link that leads nowhere included."""
    return os.path.lexists(path)


def is_file(path: Path) -> bool:
    """Whether a plain file stands there, at the end of its links if it is one."""
    try:
        return path.is_file()
    except OSError:
        return False


def read_bytes(path: Path, most: int = MAX_BYTES) -> bytes:
    """A plain file of at most so many bytes; raises :class:`SourceError` for any other, before it is waited for."""
    return others.read_bytes(path, "the model folder's file", most=most, error=SourceError)


def chat_templates(folder: Path, config: Config) -> ChatTemplates:
    """A folder's templates; raises :class:`SourceError` where it has none."""
    files = {path.stem: path for path in sorted((folder / FURTHER_TEMPLATES).glob("*.jinja"))}
    if is_there(folder / TEMPLATE):
        files = {DEFAULT: folder / TEMPLATE, **files}
    if len(files) > MOST_TEMPLATES:
        raise SourceError(f"{folder / FURTHER_TEMPLATES} has more than {MOST_TEMPLATES} chat templates: take some out")
    texts = {name: (_text_of(path), path.relative_to(folder)) for name, path in files.items()}
    if not texts:
        texts = {name: (text, Path(CONFIG)) for name, text in _configured(config.get("chat_template"))}
    if not texts:
        raise SourceError(
            f"{folder} has no chat template, neither {TEMPLATE} nor one in {CONFIG}, and nothing in it says a family"
            " that has none (Kimi K3's added tokens, or its model_type): put one there, or give another source"
        )
    return ChatTemplates(
        by_name={
            name: ChatTemplate(text=text, name=f"{folder.name}/{where.as_posix()}{_label(name, where)}")
            for name, (text, where) in texts.items()
        }
    )


def special_tokens(folder: Path, config: Config) -> dict[str, str]:
    """The special tokens that a template can name, such as ``bos_token``, as text."""
    return {name: token_text(value) for name, value in named_tokens(folder, config).items()}


def named_tokens(folder: Path, config: Config) -> dict[str, str | Config]:
    """The same as they stand: a text, or an object with flags; their old form is a file of its own."""
    old = {} if "added_tokens_decoder" in config else read_object(folder / "special_tokens_map.json")
    said = {**config, **old}
    named = {name: value for name, value in said.items() if name.endswith("_token")}
    for table in ("extra_special_tokens", "model_specific_special_tokens"):
        named |= said[table] if isinstance(said.get(table), Mapping) else {}
    return {name: value for name, value in named.items() if is_token(value)}


def added_tokens(table: object, where: Path) -> dict[int, str]:
    """Texts of a table of added tokens by id; raises :class:`SourceError` for what is not one."""
    if not isinstance(table, Mapping):
        raise SourceError(f"added_tokens_decoder of {where} is {kind(table)}, not an object: fetch the file again")
    found: dict[int, str] = {}
    for number, entry in table.items():
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise SourceError(f"added_tokens_decoder of {where} has the id {number[:40]!r}, which is not a number")
        text = entry.get("content") if isinstance(entry, Mapping) else None
        if not isinstance(text, str) or not text:  # tiktoken finds an empty one at one place without end
            raise SourceError(f"added_tokens_decoder of {where} has no text for the id {number}: fetch the file again")
        found[int(number)] = text
    return found


def added_texts(folder: Path, config: Config) -> list[str]:
    """Texts of the added tokens that a folder without a chat template names, in whichever of its files."""
    table = config.get("added_tokens_decoder") or read_object(folder / "special_tokens.json")
    if table:
        return list(added_tokens(table, folder).values())
    if is_there(folder / TEMPLATE) or config.get("chat_template"):
        return []  # which says the family sooner than a file of 30 MB
    listed = read_object(folder / "tokenizer.json").get("added_tokens")
    return [token_text(one) for one in listed if is_token(one)] if isinstance(listed, list) else []


def is_token(value: object) -> bool:
    """Whether a value says a token; a flag or a null does not."""
    return isinstance(value.get("content") if isinstance(value, Mapping) else value, str)


def token_text(value: str | Config) -> str:
    """A token's text."""
    return value if isinstance(value, str) else str(value["content"])


def _text_of(path: Path) -> str:
    try:
        text = read_bytes(path, MAX_TEMPLATE_BYTES).decode()
    except UnicodeDecodeError as error:
        raise SourceError(f"the chat template {path} is not text in UTF-8 from byte {error.start} on") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _configured(value: object) -> list[tuple[str, str]]:
    """Names and texts of the templates in a configuration."""
    if isinstance(value, str):
        return [(DEFAULT, value)]
    listed = value if isinstance(value, list) else []
    return [
        (str(one["name"]), one["template"])
        for one in listed
        if isinstance(one, Mapping) and "name" in one and isinstance(one.get("template"), str)
    ]


def _label(name: str, where: Path) -> str:
    return f" ({name})" if where.name == CONFIG and name != DEFAULT else ""
