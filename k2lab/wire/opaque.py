"""Ids that name nothing: counters, and the random forms that servers and vendors make.

Only for these may the arguments decide which tool is meant. A form stands here
where a tool's name cannot look like it: a random part needs its exact length or
its digits. Not here, as a name can look like it: Mistral's nine characters,
Groq's ``call_`` and four, Cohere's ``NAME_`` and twelve.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Form(NamedTuple):
    """A form of ids that name nothing, and who makes it."""

    name: str
    pattern: str
    source: str


HEX = r"(?![a-f]{4,}[0-9]{1,3}\Z)(?:(?=[0-9a-f]*[0-9])(?:[0-9a-f]{6,64}|[0-9][0-9a-f]{0,63})|[0-9a-f]{8,64})"
"""Hexadecimal that no word spells: six characters with a digit, a digit first, or eight; not ``decade1``."""
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
DIGITS = r"(?=[^0-9]*[0-9]+[^0-9]+[0-9])"
"""Before a random part: digits in two places, as ``GetWeather2`` has not."""
MIXED = rf"(?=.*[A-Z])(?=.*[a-z]){DIGITS}"

FORMS: tuple[Form, ...] = (
    Form("nothing", r"", "an id left out"),
    Form("a number", r"[#:.]?[0-9]{1,40}", "vLLM's tests, bare counter"),
    Form("a counter", r"(?:tool[_-]?)?call[_-]?[0-9]{1,19}", "sglang#25358 call00003; mlx_fun tool_call_1"),
    Form("call_HEX", rf"call[_-](?:[0-9]{{1,3}}_)?(?:{HEX}|{UUID})", "SGLang, DashScope, Ollama; LiteLLM's UUIDs"),
    Form("call_RANDOM", rf"call_{MIXED}[0-9A-Za-z]{{24}}", "OpenAI's Chat API"),
    Form("call_NUMBER_RANDOM", rf"call_[0-9]{{1,3}}_{MIXED}[0-9A-Za-z]{{20,24}}", "DeepSeek"),
    Form("fc_HEX", r"fc_[0-9a-f]{24,64}", "OpenAI's Responses API"),
    Form("chatcmpl-tool-HEX", rf"chatcmpl-tool-(?:{HEX}|{UUID})", "vLLM, make_tool_call_id"),
    Form(
        "toolu_RANDOM",
        rf"(?:tool)?toolu_(?:(?:bdrk|vrtx)_)?(?:{DIGITS}[0-9A-Za-z]{{16,32}}|{HEX})",
        "Anthropic, on Bedrock and Vertex too; doubled in SGLang's tests",
    ),
    Form("tooluse_RANDOM", rf"tooluse_{DIGITS}[0-9A-Za-z_-]{{22}}", "Amazon Bedrock's Converse API"),
    Form("function-call-NUMBER", r"function-call-[0-9]{6,24}", "Google Vertex"),
    Form("UUID", UUID, "RFC 9562"),
    Form("HEX", r"(?=.*[0-9])[0-9a-f]{24,64}", "a UUID without dashes; hashes"),
    Form("RANDOM", r"(?=(?:[^0-9]*[0-9]+){3})(?=.*[A-Z])(?=.*[a-z])[0-9A-Za-z]{32}", "llama.cpp, 32 random characters"),
)

_ANY = re.compile("|".join(f"(?:{form.pattern})" for form in FORMS))


def is_opaque(text: str) -> bool:
    """Whether an id names nothing; a number after a colon is no part of the form."""
    return _ANY.fullmatch(text) is not None or _ANY.fullmatch(re.sub(r"(?<=.):[0-9]{1,9}$", "", text)) is not None
