"""One probe a problem: does this server have it? A finding says so with its evidence and the fix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from k2lab import templates
from k2lab.chat import Conversation
from k2lab.diff import Diff, common_prefix, diff
from k2lab.endpoint import Endpoint
from k2lab.render import Rendering, render
from k2lab.source import Source, open_source

State = Literal["present", "absent", "unknown"]

GENERATION_PROMPT_FIX = (
    "serve a chat template that reads add_generation_prompt itself (Kimi-K2-Instruct-0905 from commit 94a4053e on), "
    "or vLLM 0.11.1 or later"
)


@dataclass(frozen=True)
class Finding:
    """Whether a server has a problem. ``diff`` aligns the server's prompt (left) with the right one."""

    problem: str
    state: State
    evidence: str
    fix: str = ""
    diff: Diff | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data; the diff is given by its first divergence."""
        first = self.diff.first if self.diff else None
        place: dict[str, Any] | None = None
        if first is not None:
            place = {"token": first.index, "left": first.left, "right": first.right}
            place |= {"message": first.owner.message, "part": first.owner.name}
        shown = {"problem": self.problem, "state": self.state, "evidence": self.evidence, "fix": self.fix}
        return {**shown, "first_divergence": place}


@dataclass(frozen=True)
class GridCell:
    """One case of where the flag is known, on one engine."""

    engine: str
    in_signature: bool
    in_template: bool
    finding: Finding


def generation_prompt(
    endpoint: Endpoint, source: Source | str | Path, conversation: Conversation, **params: Any
) -> Finding:
    """Problem 1: whether the server drops the generation prompt.

    The server's own prompt ids are compared with a rendering of ``source``
    outside the server. ``params`` go with the request: a ``chat_template``
    replaces the server's own (vLLM with ``--trust-request-chat-template``).
    """
    problem = "generation prompt dropped"
    right = render(source, conversation)
    bare = render(source, conversation, add_generation_prompt=False)
    if right.token_ids is None or bare.token_ids is None:
        return Finding(problem, "unknown", "the source has no tokenizer: without it no ids can be compared")
    suffix = right.token_ids[common_prefix(right.token_ids, bare.token_ids) :]
    if not suffix:
        return Finding(problem, "unknown", "the source itself renders no generation prompt")
    found = endpoint.prompt_ids(conversation, **params)
    if found.ids is None:
        return Finding(problem, "unknown", found.how)
    aligned = _diff(found.ids, right, source, conversation)
    if found.ids[-len(suffix) :] == suffix:
        rest = "the whole prompt is equal" if aligned.equal else "the prompt differs elsewhere"
        return Finding(problem, "absent", f"the prompt ends with ids {list(suffix)}; {rest}", "", aligned)
    evidence = f"the prompt ends with id {found.ids[-1]} and lacks ids {list(suffix)}"
    return Finding(problem, "present", evidence, GENERATION_PROMPT_FIX, aligned)


def generation_prompt_grid(
    servers: Mapping[str, Mapping[bool, tuple[Endpoint, Path]]], conversation: Conversation
) -> list[GridCell]:
    """Problem 1 measured for each engine: flag in the signature or not, in the template or not.

    ``servers[engine][in_signature]`` is a server whose tokenizer appends the
    generation prompt in Python, with the folder that it serves. The template
    that reads the flag, and the one that does not, are sent with each request.
    """
    current = templates.read(templates.CURRENT)
    blind = templates.without_generation_block(current)
    return [
        GridCell(
            engine,
            in_signature,
            in_template,
            generation_prompt(endpoint, folder, conversation, chat_template=current if in_template else blind),
        )
        for engine, by_signature in servers.items()
        for in_signature, (endpoint, folder) in by_signature.items()
        for in_template in (False, True)
    ]


def _diff(server: tuple[int, ...], right: Rendering, source: Source | str | Path, conversation: Conversation) -> Diff:
    opened = source if isinstance(source, Source) else open_source(source)
    assert opened.tokenizer is not None and right.token_ids is not None
    return diff(server, right.token_ids, opened.tokenizer, conversation)
