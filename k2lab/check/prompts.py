"""What a rendering decides: whether contents are printed as lists, the tools declared, the family the model's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from k2lab.chat import Request
from k2lab.errors import K2LabError
from k2lab.families import Family
from k2lab.findings import Finding
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.served import as_served
from k2lab.prompt.source import Source
from k2lab.server.probes import EMPTY_PART, PART_LITERAL

NAMES = (
    "empty_content_beside_calls",
    "text_in_parts",
    "content_printed_as_list",
    "template_of_another_family",
    "tools_not_declared",
)
"""The findings that are decided here."""

LOOPS_OVER_CONTENT = re.compile(r"\bfor\s+\w+\s+in\s+message(?:\.content|\[\s*['\"]content['\"]\s*\])")
"""Where vLLM takes a template for one of lists of parts, and makes a list of each text."""


def of_prompt(request: Request, source: Source, family: Family | None) -> Iterator[Finding]:
    """The findings of :data:`NAMES` for a request, by a rendering of a source; a state for each that can be decided."""
    if family and source.family:
        same = family.name == source.family.name
        told = f"the source makes prompts of {source.family.name}, the model is {family.name}"
        yield Finding.of("template_of_another_family", "absent" if same else "present", told, place="request.model")
    try:
        text = prompt_of(source, request).text
        template = source.chat_templates.chosen(tools=bool(request.tools)).text
        listed = prompt_of(source, as_served(request)).text if LOOPS_OVER_CONTENT.search(template) else text
    except K2LabError as why:
        yield from (Finding.of(name, "unknown", f"the source cannot render it: {why}") for name in NAMES)
        return
    yield from _of_contents(request, text, listed)
    missing = [name for name in request.tool_names() if name not in text]
    if request.tools:
        told = f"not in the prompt: {', '.join(missing[:8])}" if missing else "all stand in the prompt"
        yield Finding.of("tools_not_declared", "present" if missing else "absent", told, place="request.tools")


def _of_contents(request: Request, text: str, listed: str) -> Iterator[Finding]:
    """Contents that are printed as Python's lists: as they were sent, or as vLLM hands them to the template."""
    sent, served = PART_LITERAL.findall(text), PART_LITERAL.findall(listed)
    printed = sent or served
    told = f"{len(printed)} contents are printed as Python lists, such as {printed[0][:80]}" if printed else "none is"
    yield Finding.of("content_printed_as_list", "present" if printed else "absent", told, place="request.messages")
    for index, message in enumerate(request.messages):
        content, place = message.get("content"), f"request.messages[{index}].content"
        if content == "" and message.get("tool_calls"):
            present = EMPTY_PART in served
            told = f"the prompt has {EMPTY_PART}" if present else "the prompt has no list in its place"
            yield Finding.of("empty_content_beside_calls", "present" if present else "absent", told, place=place)
        if isinstance(content, list):
            told = f"the prompt has {sent[0][:80]}" if sent else "the parts are joined"
            yield Finding.of("text_in_parts", "present" if sent else "absent", told, place=place)
