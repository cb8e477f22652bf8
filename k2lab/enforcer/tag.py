"""The whole tag of K2 and of all that writes as it does: free text, then a call section of the next calls alone.

Each tool's arguments stand once, whatever number of calls may come. vLLM 0.32.0
parses a tag twice on its front end's event loop, and its engine compiles it once
more: ``benchmarks/enforcer_compile.py`` says what that costs beside a tag of schemas.
"""

from __future__ import annotations

from collections.abc import Mapping

from k2lab import wire
from k2lab.enforcer.expressions import literal
from k2lab.enforcer.grammar import Grammar
from k2lab.enforcer.options import Thinking

BEGIN_THINKING, END_THINKING = "<think>", "</think>"


def root(
    grammar: Grammar, arguments: Mapping[str, str], first_index: int, most: int, *, must: bool, thinking: Thinking
) -> str:
    """The body of the whole answer's rule; ``arguments`` are the rules of the tools', by name."""
    section = _section(grammar, arguments, first_index, most) if arguments else None
    answer = [section] if section else []
    if not must:
        answer = [grammar.free(_shut_out(grammar, thinking)), *([f'({section} | "")'] if section else [])]
    return " ".join([*_reasoning(grammar, thinking), *answer])


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


def _shut_out(grammar: Grammar, thinking: Thinking) -> tuple[str, ...]:
    """What the text of an answer cannot hold: a reasoning that was begun in it would not have to end."""
    return (*grammar.guard.markers, *([BEGIN_THINKING] if thinking == "may" else []))


def _reasoning(grammar: Grammar, thinking: Thinking) -> list[str]:
    if thinking == "no":
        return []
    free = f"{grammar.free((*grammar.guard.markers, END_THINKING))} {literal(END_THINKING)}"
    blank = grammar.define("[ \\n\\r\\t]*")
    return [free if thinking == "begun" else f'({literal(BEGIN_THINKING)} {free} | "")', blank]
