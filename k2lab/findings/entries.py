"""What a kind of finding is: its code, where on the way of a request it lies, why it hurts, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

Layer = Literal["request", "declare", "render", "enforce", "model", "parse", "serve"]
"""Who can be at fault on the way ``request -> (declare, render) -> prompt -> (model) -> output -> (parse) -> answer``.

``request``: what was sent; ``declare``: how the tools were written for the model;
``render``: how the template was filled; ``enforce``: what the model was held to;
``model``: what it wrote; ``parse``: how that was read; ``serve``: how the answer
was sent.
"""

Level = Literal["error", "warning"]
"""``error``: a call is lost, refused or wrong; ``warning``: it is where some server or model is led astray."""

LAYERS: tuple[Layer, ...] = get_args(Layer)

SUBJECTS: Mapping[str, str] = MappingProxyType(
    {
        "R": "request",
        "T": "tools",
        "P": "prompt",
        "O": "output",
        "A": "answer",
        "S": "server",
        "E": "enforcement",
    }
)
"""What is looked at, by the first letter of a code, on the way of a request."""

BLOG = "https://blog.vllm.ai/2025/10/28/Kimi-K2-Accuracy.html"
INSTRUCT_0905 = "https://huggingface.co/moonshotai/Kimi-K2-Instruct-0905"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A kind of finding.

    ``code`` (as ``R001``) and ``name`` (as ``foreign_call_id``) are stable, and
    each finds it. ``layers`` are those that can be at fault, where what is looked
    at does not tell them apart.
    """

    code: str
    name: str
    title: str
    looks_at: str
    why: str
    fix: str
    layers: tuple[Layer, ...]
    level: Level = "error"
    sources: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """What is looked at: one of :data:`SUBJECTS`."""
        return SUBJECTS[self.code[0]]


def issue(repository: str, number: int) -> str:
    """The address of an issue or a pull request on GitHub."""
    return f"https://github.com/{repository}/issues/{number}"
