"""How calls are written in a wire format: what of it the Enforcer has to know, by the format's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from k2lab import families, wire
from k2lab.chat import Request
from k2lab.enforcer import arguments, guard, tag, xtml
from k2lab.enforcer.grammar import Grammar
from k2lab.enforcer.options import Thinking
from k2lab.enforcer.schema.finite import Schema


class Root(Protocol):
    """What writes the body of the whole answer's rule."""

    def __call__(
        self,
        grammar: Grammar,
        arguments: Mapping[str, str],
        first_index: int,
        most: int,
        *,
        must: bool,
        thinking: Thinking,
    ) -> str:
        """``arguments`` are the rules of the tools', by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WireGrammar:
    """A wire format as the Enforcer writes it.

    ``first_index`` is that of the next call of a conversation. ``unnameable``
    says why a tool's name cannot be written, empty where it can. ``arguments``
    writes the rule of a tool's translated schema, with so many keys in any order.
    """

    guard: guard.Guard
    first_index: Callable[[Request], int]
    unnameable: Callable[[str], str]
    arguments: Callable[[Grammar, Schema, int], str]
    root: Root


def _counted(request: Request) -> int:
    return request.first_index


def _no_id(name: str) -> str:
    able = wire.ID.fullmatch(wire.call_id(name, 0))
    return "" if able else "cannot stand in an id: use letters, digits, '_', '-' and '.'"


def _from_one(request: Request) -> int:
    return xtml.FIRST_INDEX


def _no_attribute(name: str) -> str:
    held = any(marker in name for marker in xtml.GUARD.markers)
    return "cannot be written: it holds a marker of its format" if held or not name else ""


GRAMMARS: Mapping[str, WireGrammar] = {
    "section": WireGrammar(
        guard=guard.K2, first_index=_counted, unnameable=_no_id, arguments=arguments.rule, root=tag.root
    ),
    "xtml": WireGrammar(
        guard=xtml.GUARD, first_index=_from_one, unnameable=_no_attribute, arguments=xtml.rule, root=xtml.root
    ),
}
"""By the ``wire`` of a :class:`~k2lab.families.Family`."""


def family_for(model: str) -> str:
    """The family by which the answers of a model are held: K2 stands for all that write as it does.

    >>> family_for("moonshotai/Kimi-K2.5"), family_for("kimi-k3:cloud"), family_for("a-model")
    ('K2', 'K3', 'K2')
    """
    family = families.of_model(model) or families.K2
    return families.K2.name if family.wire == families.K2.wire else family.name


def grammar_of(family: str) -> WireGrammar:
    """What a family writes, by its name or that of one of its models; raises :class:`InputError` for any other."""
    return GRAMMARS[families.named(family).wire]
