"""Faults of enforcement: what a server lets a model write although the request's tools forbid it."""

from __future__ import annotations

from k2lab.findings.entries import BLOG, Entry

ENTRIES = (
    Entry(
        code="E001",
        name="tools_not_enforced",
        title="nothing holds the model to the declared tools",
        looks_at="whether a model that wants another tool can call it",
        why="calls to tools that were never declared reach the client: the blog's open problem",
        fix="vLLM 0.32.0 --tool-strict-level parameter, or send the structural tag that k2lab enforce writes",
        layers=("enforce",),
        sources=(BLOG, "https://github.com/MoonshotAI/K2-Vendor-Verifier"),
    ),
    Entry(
        code="E002",
        name="index_not_enforced",
        title="the index of a call can run away",
        looks_at="whether the grammar pins the index to the next one",
        why="a model that is kept from another name writes digits to the end of its room: the call is cut off",
        fix="send the structural tag that k2lab enforce writes, in which the index is pinned",
        layers=("enforce",),
    ),
    Entry(
        code="E003",
        name="tag_refused",
        title="the server does not take a structural tag",
        looks_at="the answer to a request with a structural tag that the model would not keep by itself",
        why="what is sent to hold the model holds nothing",
        fix="send it in the form of the server: structured_outputs (vLLM), response_format (SGLang, TensorRT-LLM)",
        layers=("enforce",),
    ),
    Entry(
        code="E004",
        name="grammar_begins_behind_reasoning",
        title="a grammar holds nothing in the reasoning",
        looks_at="whether a text that a constraint dictates to a thinking model begins its reasoning or comes after it",
        why="a call that is begun in the reasoning is held by no grammar: its name, arguments and end are free",
        fix="start vLLM with --structured-outputs-config.enable_in_reasoning=True, and send a grammar that has the"
        " reasoning in it: k2lab enforce --thinking begun, k2lab proxy --enforce pinned --reasoning plain",
        layers=("enforce",),
        level="warning",
    ),
)
