"""What Kimi's tokenizers do to the tools of a conversation before its template is rendered.

Facts, from ``apply_chat_template`` of the checkpoints' ``tokenization_kimi.py``:
the keys of every object within the tools are sorted, lists keep their order;
from K2.5 on the tools are also written as TypeScript, all or none. Where one
tool cannot be written so, the code prints a line to the server's standard
output and the template falls back to JSON for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from k2lab.chat import Tool
from k2lab.families import Family
from k2lab.prompt import typescript


@dataclass(frozen=True, kw_only=True)
class Fallback:
    """Why tools are declared as JSON where the family writes TypeScript: ``path`` is a JSON pointer in the tool."""

    tool: str
    path: str
    reason: str

    def __str__(self) -> str:
        return (
            f"all tools are declared as JSON, as the real tokenizer falls back to it where one cannot be written as "
            f"TypeScript: {self.tool}: {self.path}: {self.reason}"
        )


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """Tools as the template gets them: ``typescript`` is what it prints in their place, where there is such a text."""

    tools: tuple[Tool, ...]
    typescript: str | None = None
    fallback: Fallback | None = None


def declared(tools: Sequence[Tool], family: Family) -> Declaration:
    r"""The tools as the tokenizer of a family hands them to its template; nothing is mutated.

    >>> from k2lab import families
    >>> declared([{"type": "function", "function": {"name": "ping"}}], families.K2_5).typescript
    '# Tools\n\n## functions\nnamespace functions {\ntype ping = (_: {}) => any;\n}\n'
    """
    if family.declares is None:
        return Declaration(tools=tuple(tools))
    ordered = tuple(_sorted(tool) for tool in tools)
    if family.declares == "json" or not ordered:
        return Declaration(tools=ordered)
    functions = []
    for tool in ordered:
        written = _function(tool)
        if isinstance(written, Fallback):
            return Declaration(tools=ordered, fallback=written)
        functions += [written] if written else []
    return Declaration(tools=ordered, typescript=typescript.namespace(functions))


def undeclarable(tools: Sequence[Tool]) -> tuple[Fallback, ...]:
    """The tools that have no TypeScript, each with the first place that has none: any one of them is enough.

    >>> bad = {"name": "pick", "parameters": {"type": "object", "properties": {"a": {"const": 1}}}}
    >>> [(why.tool, why.path) for why in undeclarable([{"type": "function", "function": bad}])]
    [('pick', '/function/parameters/properties/a')]
    """
    written = (_function(_sorted(tool)) for tool in tools)
    return tuple(one for one in written if isinstance(one, Fallback))


def _function(tool: Tool) -> str | Fallback:
    """A tool as TypeScript, or why it has none; empty for one that is passed over, as by the real code."""
    if tool.get("type") != "function":
        return ""
    try:
        return typescript.function_text(tool["function"])
    except typescript.Unwritable as why:
        return Fallback(tool=str(tool["function"]["name"]), path=f"/function{why.path}", reason=why.reason)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(part) for key, part in sorted(value.items())}
    return [_sorted(part) for part in value] if isinstance(value, list) else value
