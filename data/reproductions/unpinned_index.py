r"""xgrammar's built-in structural tag for Kimi admits an index that never ends.

Run with an interpreter that has xgrammar 0.2.8, such as that of vLLM 0.32.0:

    python unpinned_index.py

The id of a Kimi K2 call is ``functions.NAME:IDX``, where IDX counts the calls of
the conversation: at any point one value is right, and the request tells which.
The tag that vLLM sends with ``--tool-strict-level`` leaves IDX as ``\d+``. A model
that is kept from the tool it wanted has no likely next token left; one that has
seen other digits goes on writing digits, each of which the grammar admits, until
``max_tokens``. The answer then ends as a tool call whose arguments never came.

The script needs no model: it asks the grammar, byte by byte, what may come next.
It prints what it finds and exits with 1 where the index ends by itself.
"""

import json
import sys
from importlib.metadata import version

import xgrammar

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
BEGIN = "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:"
ARGUMENTS = '<|tool_call_argument_begin|>{"city": "Oslo"}<|tool_call_end|><|tool_calls_section_end|>'
BYTES = [bytes([value]) for value in range(256)] + [b"</s>"]
DIGITS = 2000


def admits(tag: str, text: str) -> bool:
    """Whether the grammar of a tag takes the text as the beginning of an answer."""
    info = xgrammar.TokenizerInfo(BYTES, vocab_size=257, stop_token_ids=[256])
    compiled = xgrammar.GrammarCompiler(info, cache_enabled=False).compile_structural_tag(tag)
    return bool(xgrammar.GrammarMatcher(compiled).accept_string(text))


def pinned(index: int) -> str:
    """The same call with the one index that is right."""
    begin = f"{BEGIN}{index}<|tool_call_argument_begin|>"
    schema = {"type": "json_schema", "json_schema": TOOL["function"]["parameters"]}
    end = {"type": "const_string", "value": "<|tool_call_end|><|tool_calls_section_end|>"}
    parts = [{"type": "const_string", "value": begin}, schema, end]
    return json.dumps({"type": "structural_tag", "format": {"type": "sequence", "elements": parts}})


def main() -> int:
    """Ask both tags for the right index, a wrong one, and one that does not end."""
    made = xgrammar.get_model_structural_tag("kimi", tools=[TOOL], tool_choice="required", reasoning=False)
    tags = {"built-in kimi": made.model_dump_json(), "index pinned to 0": pinned(0)}
    texts = {
        "functions.get_weather:0, the right one": f"{BEGIN}0{ARGUMENTS}",
        "functions.get_weather:7, a wrong one": f"{BEGIN}7{ARGUMENTS}",
        f"{DIGITS} digits and no end": BEGIN + "02" * (DIGITS // 2),
    }
    print("xgrammar", version("xgrammar"))
    found = {(tag, text): admits(tags[tag], texts[text]) for tag in tags for text in texts}
    for (tag, text), admitted in found.items():
        print(f"{tag:18} {text:40} {'admitted' if admitted else 'refused'}")
    runs_away = found["built-in kimi", f"{DIGITS} digits and no end"]
    return 0 if runs_away and not found["index pinned to 0", f"{DIGITS} digits and no end"] else 1


if __name__ == "__main__":
    sys.exit(main())
