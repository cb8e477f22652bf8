"""The grammar for a whole request: its tools, its choice, the next index, and what the grammar does not hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache

from k2lab.chat import Request, Tool, function_of
from k2lab.enforcer.carriers import has_macros, request_fields, tag_of
from k2lab.enforcer.grammar import Grammar, Loss
from k2lab.enforcer.offer import Function, offer_of
from k2lab.enforcer.options import Form, Options
from k2lab.enforcer.schema import Limit, Translated, translate
from k2lab.enforcer.wires import WireGrammar, grammar_of
from k2lab.errors import InputError, UnsupportedError

CHOICES = ("tool_choice", "parallel_tool_calls")
"""What a request says of its calls, and its grammar holds."""

LARGEST_GRAMMAR_BYTES = 256 << 10
"""A server parses the grammar anew with each request; beyond this that and its first compilation take a second."""

LARGEST_ANY_ORDER_BYTES = 64 << 10
"""Orders of keys that make a grammar larger are given up."""

MOST_PERMUTED = 4
"""Up to so many keys come in any order, more in the schema's: each further one doubles the states."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolLimit:
    """A part of a tool's schema that the grammar does not hold: an invalid value can pass there."""

    tool: str
    limit: Limit

    def __str__(self) -> str:
        return f"{self.tool}: {self.limit}"

    def to_json(self) -> dict[str, str]:
        """``{"tool", "path", "keyword", "reason"}``."""
        return {"tool": self.tool, **asdict(self.limit)}


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolLoss:
    """A part of a tool's schema in which some valid values cannot be written."""

    tool: str
    loss: Loss

    def __str__(self) -> str:
        return f"{self.tool}: {self.loss}"

    def to_json(self) -> dict[str, str]:
        """``{"tool", "path", "reason"}``."""
        return {"tool": self.tool, **asdict(self.loss)}


@dataclass(frozen=True, kw_only=True)
class Enforcement:
    """The grammar for one request to a server of some ``form``, and what it does not hold or takes too much of.

    ``family`` is that of the model. A tool with up to ``any_order`` keys may
    have them in any order, others have them in their schema's. In all of its
    strings and keys ``markers`` cannot be written.
    """

    form: Form
    family: str
    grammar: str
    first_index: int
    max_calls: int
    any_order: int
    markers: tuple[str, ...]
    limits: tuple[ToolLimit, ...]
    losses: tuple[ToolLoss, ...]

    @property
    def tag(self) -> dict[str, object]:
        """The grammar as a structural tag."""
        return tag_of(self.grammar)

    @cached_property
    def fields(self) -> dict[str, object]:
        """The fields of a chat request that carry it to the server."""
        return request_fields(self.form, self.grammar)

    def attached(self, request: Request) -> Request:
        """The request with the grammar, as :func:`attach` gives it."""
        taken = self.fields.keys() & request.parameters.keys()
        if taken:
            raise InputError(
                f"the request has a {taken.pop()} of its own, beside which no grammar can be sent: leave it out"
            )
        kept = {key: value for key, value in request.parameters.items() if key not in CHOICES}
        free = {"tool_choice": "auto"} if request.tools else {}
        return replace(request, tools=without_strict(request.tools), parameters={**kept, **free, **self.fields})

    def to_json(self) -> dict[str, object]:
        """The tag and the numbers, and each limit and loss."""
        names = ("form", "family", "tag", "first_index", "max_calls", "any_order")
        parts: dict[str, object] = {name: getattr(self, name) for name in names}
        limits, losses = ([item.to_json() for item in items] for items in (self.limits, self.losses))
        return {**parts, "limits": limits, "losses": losses}


def enforce(request: Request, *, options: Options = Options()) -> Enforcement:  # noqa: B008 - frozen
    """The grammar for the answer to a request, by its tools, ``tool_choice``, ``parallel_tool_calls`` and history.

    Raises :class:`UnsupportedError` with each tool, path and keyword where the
    grammar cannot hold a part of a schema, unless the options loosen it, and
    :class:`InputError` for tools or a choice that are none, for a tool that is
    declared twice, and for tools too many.

    >>> request = Request.of([{"role": "user", "content": "What time is it?"}], [{"function": {"name": "now"}}])
    >>> made = enforce(request, options=Options(max_calls=1))
    >>> "functions." in made.grammar, made.first_index
    (True, 0)
    """
    wire = grammar_of(options.family)
    offer = offer_of(request, wire.unnameable)
    translated = {name: _arguments(name, function) for name, function in offer.functions.items()}
    limits = [ToolLimit(tool=name, limit=limit) for name, found in translated.items() for limit in found.limits]
    _refuse_asserted(limits, options)
    first = first_index(request, options)
    most = options.max_calls if offer.several else 1

    def written(permuted: int) -> _Written:
        grammar = Grammar(guard=wire.guard, macros=has_macros(options.form), max_string=options.max_string)
        rules, limits, losses = _rules(wire, grammar, translated, permuted)
        whole = wire.root(grammar, rules, first, most, must=offer.must, thinking=options.thinking)
        return _Written(text=grammar.text(whole), permuted=permuted, limits=limits, losses=losses)

    made = written(MOST_PERMUTED)
    _refuse_asserted(made.limits, options)
    if len(made.text) > LARGEST_ANY_ORDER_BYTES:
        fewest = len(written(1).text)
        while len(made.text) > max(LARGEST_ANY_ORDER_BYTES, fewest):
            made = written(made.permuted - 1)
    _check_size(made.text, len(translated), most)
    return Enforcement(
        form=options.form,
        family=options.family,
        grammar=made.text,
        first_index=first,
        max_calls=most,
        any_order=made.permuted,
        markers=wire.guard.markers,
        limits=(*limits, *made.limits),
        losses=made.losses,
    )


def _refuse_asserted(limits: Iterable[ToolLimit], options: Options) -> None:
    asserted = [str(item) for item in limits if item.limit.asserted]
    if asserted and not options.loosen:
        listed = "; ".join(asserted)
        raise UnsupportedError(f"the grammar would let invalid arguments pass, loosen these parts or refuse: {listed}")


def first_index(request: Request, options: Options) -> int:
    """The index of the next call: what the options say, else how the family counts."""
    counted = grammar_of(options.family).first_index
    return counted(request) if options.first_index is None else options.first_index


def attach(request: Request, *, options: Options = Options()) -> Request:  # noqa: B008 - frozen
    """A request with its grammar among its parameters; raises as :func:`enforce` does.

    The server is told ``tool_choice: auto`` whatever the request says, and no
    tool stays ``strict``: with either vLLM 0.32.0 puts its own tag in place of,
    or beside, the one that is sent. What the request asks for is in the grammar.
    K3's prompt then lacks the note that a choice other than ``auto`` puts there.

    >>> request = Request.of([{"role": "user", "content": "What time is it?"}], [{"function": {"name": "now"}}])
    >>> list(attach(request).parameters)
    ['tool_choice', 'structured_outputs']
    """
    return enforce(request, options=options).attached(request)


def _arguments(name: str, function: Function) -> Translated:
    """The schema of a tool's arguments as the grammar follows it; arguments are always an object."""
    schema = function.get("parameters")
    try:
        if schema is None or schema is True or schema == {}:
            schema = {"type": "object"}
        if not isinstance(schema, Mapping):
            raise InputError(f"parameters must be a JSON Schema, not {json.dumps(schema)[:80]}")
        return _translated(json.dumps(schema))
    except InputError as error:
        raise InputError(f"tool {name!r}: {error}") from None


@lru_cache(maxsize=1024)
def _translated(schema: str) -> Translated:
    """By the text of the schema: the tools of a conversation come again with each of its turns."""
    return translate(json.loads(schema), kind="object")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    """A grammar's text, with so many keys in any order, and what it does not hold and takes too much of."""

    text: str
    permuted: int
    limits: tuple[ToolLimit, ...]
    losses: tuple[ToolLoss, ...]


def _rules(
    wire: WireGrammar, grammar: Grammar, translated: Mapping[str, Translated], permuted: int
) -> tuple[dict[str, str], tuple[ToolLimit, ...], tuple[ToolLoss, ...]]:
    """The rule of each tool's arguments."""
    rules: dict[str, str] = {}
    limits: list[ToolLimit] = []
    losses: list[ToolLoss] = []
    for name, found in translated.items():
        try:
            rules[name] = wire.arguments(grammar, found.schema, permuted)
        except InputError as error:
            raise InputError(f"tool {name!r}: {error}") from None
        limits += [ToolLimit(tool=name, limit=limit) for limit in dict.fromkeys(grammar.limits)]
        losses += [ToolLoss(tool=name, loss=loss) for loss in dict.fromkeys(grammar.losses)]
        grammar.limits.clear()
        grammar.losses.clear()
    return rules, tuple(limits), tuple(losses)


def without_strict(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Tools of which none is ``strict``; one that is not is the same object."""
    return tuple(tool if "strict" not in function_of(tool) else _loose(tool) for tool in tools)


def _loose(tool: Tool) -> Tool:
    return {**tool, "function": {key: value for key, value in function_of(tool).items() if key != "strict"}}


def _check_size(text: str, tools: int, most: int) -> None:
    if len(text) > LARGEST_GRAMMAR_BYTES:
        raise InputError(
            f"{tools} tools and {most} calls make a grammar of {len(text) >> 10} KiB, at most"
            f" {LARGEST_GRAMMAR_BYTES >> 10} are compiled in reasonable time: offer fewer tools, or allow fewer calls"
            " (max_calls, or parallel_tool_calls false)"
        )
