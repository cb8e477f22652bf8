"""The whole tag: free text, then a call section that admits the next calls alone; and how it is sent to each server.

Each tool's arguments stand once, whatever number of calls may come. vLLM 0.32.0
parses a tag twice on its front end's event loop, and its engine compiles it once
more: ``benchmarks/enforcer_compile.py`` says what that costs beside a tag of schemas.

The requests of each form, read from the servers' code:

- ``vllm`` (0.32.0, xgrammar 0.2.8): ``structured_outputs.structural_tag``, a tag of one format of type ``grammar``.
- ``vllm-0.11`` (0.11.0, xgrammar 0.1.25): ``structured_outputs.grammar``; its tags are of the older form alone,
  ``structures`` and ``triggers``, which hold neither the order of calls nor that there is one.
- ``sglang`` (0.5.23, xgrammar 0.2.7): ``response_format`` of type ``structural_tag`` with ``format``, beside
  ``tool_choice: auto`` and no strict tool (``srt/entrypoints/openai/protocol.py`` and ``serving_chat.py``).
- ``tensorrt-llm`` (that with xgrammar 0.1.25, started with ``guided_decoding_backend: xgrammar``): the same
  ``response_format`` (``serve/openai_protocol.py``); its ``ebnf`` it wraps behind reasoning of its own.

xgrammar 0.1.25 has no ``Regex``: its grammars write each state of a string as a rule, and are compiled more slowly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from k2lab import wire
from k2lab.enforcer.expressions import literal
from k2lab.enforcer.grammar import Grammar
from k2lab.enforcer.options import Form, Thinking

BEGIN_THINKING, END_THINKING = "<think>", "</think>"


def has_macros(form: Form) -> bool:
    """Whether a server's grammar engine has ``Regex``."""
    return form in ("vllm", "sglang")


def root(
    grammar: Grammar, arguments: Mapping[str, str], first_index: int, most: int, *, must: bool, thinking: Thinking
) -> str:
    """The body of the whole answer's rule; ``arguments`` are the rules of the tools', by name."""
    section = _section(grammar, arguments, first_index, most) if arguments else None
    answer = [section] if section else []
    if not must:
        answer = [grammar.free(grammar.guard.markers), *([f'({section} | "")'] if section else [])]
    return " ".join([*_reasoning(grammar, thinking), *answer])


def tag_of(text: str) -> dict[str, object]:
    """A grammar as a structural tag."""
    return {"type": "structural_tag", "format": {"type": "grammar", "grammar": text}}


def request_fields(form: Form, text: str) -> dict[str, object]:
    """The fields of a chat request that carry a grammar to a server."""
    if form == "vllm-0.11":
        return {"structured_outputs": {"grammar": text}}
    tag = tag_of(text)
    if form == "vllm":
        return {"structured_outputs": {"structural_tag": json.dumps(tag, ensure_ascii=False, separators=(",", ":"))}}
    return {"response_format": tag}


def _section(grammar: Grammar, arguments: Mapping[str, str], first_index: int, most: int) -> str:
    """Calls up to the last index; each rule has the next call in it.

    What is alike in all calls are rules of their own: each letter of a literal costs the engine a state.
    """
    begin, said, end, close = (
        grammar.define(literal(marker))
        for marker in (f"{wire.CALL_BEGIN}functions.", wire.ARGUMENT_BEGIN, wire.CALL_END, wire.SECTION_END)
    )
    names = {name: grammar.define(literal(f"{name}:")) for name in arguments}
    after = close
    for index in reversed(range(first_index, first_index + most)):
        ways = " | ".join(f"{names[name]} {literal(str(index))} {said} {rule}" for name, rule in arguments.items())
        call = grammar.define(f"{begin} ({ways}) {end} {after}")
        after = f"({call} | {close})"
    return f"{literal(wire.SECTION_BEGIN)} {call}"


def _reasoning(grammar: Grammar, thinking: Thinking) -> list[str]:
    if thinking == "no":
        return []
    free = f"{grammar.free((*grammar.guard.markers, END_THINKING))} {literal(END_THINKING)}"
    blank = grammar.define("[ \\n\\r\\t]*")
    return [free if thinking == "begun" else f'({literal(BEGIN_THINKING)} {free} | "")', blank]
