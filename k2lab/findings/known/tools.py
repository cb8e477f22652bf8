"""Faults of tools: what an API refuses, a declaration cannot write, or a grammar cannot hold."""

from __future__ import annotations

from k2lab.findings.entries import Entry, issue

WALLE = "https://github.com/MoonshotAI/walle"

ENTRIES = (
    Entry(
        code="T001",
        name="refused_by_moonshot",
        title="a schema that Moonshot's API refuses",
        looks_at="the parameters of each tool, by the rules of Moonshot Flavored JSON Schema",
        why="the official API answers 400 to the whole request",
        fix="let k2lab check --fix write an accepted schema, and read what meaning it loses",
        layers=("request",),
        sources=(WALLE, issue("MoonshotAI/kimi-code", 2661), issue("MoonshotAI/kimi-cli", 2061)),
    ),
    Entry(
        code="T002",
        name="declaration_falls_back",
        title="a tool that makes the declaration of all tools fall back to JSON",
        looks_at="whether the tokenizer's code of K2.5 and later can write each tool as TypeScript",
        why="one such tool, and all tools are declared in a form that the model was not trained on; nobody is told",
        fix="write the schema without what is named, such as oneOf, const, or a property without a type",
        layers=("declare",),
        sources=("https://huggingface.co/moonshotai/Kimi-K2.5",),
    ),
    Entry(
        code="T003",
        name="not_held_by_enforcer",
        title="a rule that k2lab's grammar does not hold",
        looks_at="each schema as k2lab enforce writes it",
        why="arguments that break the rule are accepted all the same: validate what comes back",
        fix="see k2lab enforce for what is held; where it can be, write the rule as an enum",
        layers=("enforce",),
        level="warning",
    ),
    Entry(
        code="T004",
        name="not_held_by_vllm",
        title="a rule that vLLM's own grammar does not hold",
        looks_at="keywords that xgrammar passes over or refuses, as vLLM 0.32.0 uses it",
        why="--tool-strict-level parameter accepts arguments that break the rule, or refuses the request",
        fix="send the structural tag that k2lab enforce writes, or drop the keyword",
        layers=("enforce",),
        level="warning",
    ),
    Entry(
        code="T005",
        name="name_unfit_for_an_id",
        title="a tool's name that cannot stand in an id",
        looks_at="whether functions.NAME:IDX can be read back to the name",
        why="the id is the only carrier of the name: a parser returns another name, or none",
        fix="name the tool with letters, digits, _ and - alone",
        layers=("request",),
        sources=(issue("vllm-project/vllm", 50768),),
    ),
    Entry(
        code="T006",
        name="repeated_tool_name",
        title="two tools of one name",
        looks_at="the names of the tools on offer",
        why="which of them is called cannot be known, and servers differ in which schema counts",
        fix="give each tool a name of its own, such as the name of its server before it",
        layers=("request",),
    ),
    Entry(
        code="T007",
        name="not_a_tool",
        title="no tool of the chat API",
        looks_at="whether each tool is an object with a function that has a name and a schema",
        why="the request is refused, or the tool is not declared",
        fix='write {"type": "function", "function": {"name": ..., "description": ..., "parameters": {...}}}',
        layers=("request",),
    ),
    Entry(
        code="T008",
        name="broken_schema",
        title="parameters that are no JSON Schema",
        looks_at="each tool's parameters, by the meta-schema of their draft",
        why="no arguments can be held against it: every call of the tool is invalid, or goes unchecked",
        fix="mend what is named, by https://json-schema.org",
        layers=("request",),
    ),
)
