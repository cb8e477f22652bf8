"""``k2lab enforce``: what holds an answer to the declared tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from k2lab import chat
from k2lab.cli.arms import Pinning
from k2lab.cli.common import THINKING, as_record
from k2lab.cli.printing import note, print_json

if TYPE_CHECKING:
    from k2lab.enforcer import Enforcement


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """The files of a request, and what is given beside them over its parameters."""

    tools: Path
    history: Path | None
    tool_choice: str | None
    parallel: bool | None
    family: str | None


@click.command(name="enforce")
@click.option(
    "--tools",
    required=True,
    type=click.Path(path_type=Path),
    help="A JSON file: the list of tools on offer, or a whole chat request.",
)
@click.option(
    "--history",
    type=click.Path(path_type=Path),
    default=None,
    help="A conversation file, whose call ids the answer continues; by default the messages of the request in --tools.",
)
@click.option(
    "--tool-choice",
    default=None,
    help="auto, required, none, or the name of a tool; by default what the request says, else auto.",
)
@click.option(
    "--parallel/--no-parallel",
    default=None,
    help="Whether an answer may have several calls; by default what the request says, else yes.",
)
@click.option(
    "--family",
    default=None,
    help="K2, K2.5 ... K3, or the model's name: how it writes calls; by default as the request's model, else as K2.",
)
@click.option("--max-calls", type=click.IntRange(min=1), default=8, show_default=True,
              help="How many calls an answer may have.")  # fmt: skip
@click.option("--max-string", type=click.IntRange(min=1), default=None,
              help="Longest string in characters, where the schema sets no limit.")  # fmt: skip
@THINKING
@click.option("--loosen", is_flag=True, help="Go on where the grammar cannot express a part of a schema.")
@click.option("--form", type=click.Choice(["vllm", "vllm-0.11", "sglang", "tensorrt-llm"]), default="vllm",
              show_default=True, help="The server that receives the grammar.")  # fmt: skip
@as_record("offer", Offer)
@as_record("pinning", Pinning)
def enforce_command(offer: Offer, pinning: Pinning) -> None:
    """Print what holds an answer to the declared tools, as JSON.

    For vllm that is the structural tag, which goes into a request as structured_outputs.structural_tag (a string) or as
    response_format; for the others the part of the request that carries it. The request says tool_choice auto.
    """
    from k2lab import enforcer, families

    request = _asked(offer)
    options = pinning.options(pinning.form or "vllm", _family(offer, request))
    enforcement = enforcer.enforce(request, options=options)
    _tell_limits(enforcement)
    if request.tools and request.parameters.get("tool_choice") != "none":
        note(f"no string or key can contain {_either(enforcement.markers)}, which begin Kimi's markers")
    if families.named(options.family).reads_reasoning and options.thinking == "no":
        note(
            "a vLLM with a reasoning parser begins this grammar behind the reasoning, and holds no call that is begun"
            " in it: --structured-outputs-config.enable_in_reasoning=True with --thinking begun does"
        )
    if enforcement.any_order < enforcer.MOST_PERMUTED:
        note(
            f"tools with more than {enforcement.any_order} keys must write them in their schema's order, as all orders"
            " would make the grammar too large: a lower --max-calls makes it smaller"
        )
    print_json(enforcement.tag if enforcement.form == "vllm" else enforcement.fields)


def _family(offer: Offer, request: chat.Request) -> str:
    """The family that is given, else that of the request's model, else K2; which one it is, is told."""
    from k2lab import enforcer, families

    if offer.family is not None:
        return families.named(offer.family).name
    found = enforcer.family_for(request.model or "")
    note(f"held to the calls of {found}{f', by the name of the model {request.model!r}' if request.model else ''}")
    return found


def _either(markers: Sequence[str]) -> str:
    return f"{', '.join(markers[:-1])} or {markers[-1]}"


def _tell_limits(enforcement: Enforcement) -> None:
    for limit in enforcement.limits:
        note(f"{'loosened' if limit.limit.asserted else 'not enforced'}: {limit}")
    for loss in enforcement.losses:
        note(f"narrowed: {loss}")


def _asked(offer: Offer) -> chat.Request:
    """The request of the files, with what is given beside them over its parameters."""
    tools, choice = chat.load_tools(offer.tools), offer.tool_choice
    given: dict[str, object] = {}
    if choice is not None:
        named = choice not in ("auto", "required", "none")
        given["tool_choice"] = {"type": "function", "function": {"name": choice}} if named else choice
    if offer.parallel is not None:
        given["parallel_tool_calls"] = offer.parallel
    holder = offer.history or (offer.tools if chat.holds_messages(offer.tools) else None)
    if holder is None:
        return chat.Request(messages=(), tools=tools, parameters=given)
    request = chat.load(holder)
    return replace(request, tools=tools, parameters={**request.parameters, **given})
