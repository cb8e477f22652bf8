"""What can be found: each code once, with its layer, its title, its fix and where that is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Layer = Literal["request", "declare", "render", "model", "parse"]
"""Where a fault lies on the way ``request -> (declare, render) -> prompt -> (model) -> output -> (parse) -> answer``.

``request``: what was sent; ``declare``: how the tools were written for the model;
``render``: how the template was filled; ``model``: what it wrote; ``parse``: how
that was read.
"""

LAYERS: tuple[Layer, ...] = get_args(Layer)

BLOG = "https://blog.vllm.ai/2025/10/28/Kimi-K2-Accuracy.html"
INSTRUCT_0905 = "https://huggingface.co/moonshotai/Kimi-K2-Instruct-0905"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A kind of finding: ``fix`` is what to do where it is present, ``sources`` are where it is told."""

    code: str
    layer: Layer
    title: str
    fix: str
    sources: tuple[str, ...] = ()


_ENTRIES = (
    Entry(
        code="generation_prompt_dropped",
        layer="render",
        title="generation prompt dropped",
        fix="serve a chat template that reads add_generation_prompt itself (Kimi-K2-Instruct-0905 from commit 94a4053e"
        " on), or vLLM 0.11.1 or later",
        sources=(BLOG, "https://github.com/vllm-project/vllm/pull/25794", INSTRUCT_0905),
    ),
    Entry(
        code="content_printed_as_list",
        layer="render",
        title="list literal in the prompt",
        fix="serve a template that renders both kinds of content (Kimi-K2-Instruct-0905 from commit 94a4053e on), start"
        " vLLM with --chat-template-content-format string, or send null instead of '' (k2lab repair)",
        sources=(
            BLOG,
            "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#chat-template",
            INSTRUCT_0905,
        ),
    ),
    Entry(
        code="tools_not_prepared",
        layer="declare",
        title="another prompt than the source's: bare template",
        fix="serve the checkpoint with its own tokenizer code (vLLM and SGLang: --trust-remote-code), or send"
        " /completions a prompt that was rendered right (k2lab complete)",
    ),
    Entry(
        code="arguments_rewritten",
        layer="render",
        title="another prompt than the source's: arguments written anew",
        fix="vLLM (0.11.0, 0.32.0) decodes the arguments, and the template prints them with ', ' and ': ' between; send"
        " them so, and the prompt is the same everywhere",
    ),
    Entry(
        code="prompt_differs",
        layer="render",
        title="another prompt than the source's",
        fix="see all differences with k2lab diff; then compare the server's template, tokenizer code, content format"
        " and flags with the source's, and the request's chat_template_kwargs",
    ),
)

CATALOGUE: Mapping[str, Entry] = {entry.code: entry for entry in _ENTRIES}
