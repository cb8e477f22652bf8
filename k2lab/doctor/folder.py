"""A model folder by its files: what each vLLM release will do with it, and on which side of the fixes it stands.

Files are read, and the template is filled as ``k2lab render`` fills it; no
Python code of the folder runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from k2lab.chat import Request
from k2lab.doctor import stopping, xtmlfolder
from k2lab.doctor.examination import Examination, in_order
from k2lab.doctor.goldencounts import WEATHER, after_a_call
from k2lab.errors import K2LabError, first_line
from k2lab.families import Family, special
from k2lab.findings import Finding
from k2lab.prompt import consent, contentformat, files, known
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.served import as_served
from k2lab.prompt.source import Source, open_source
from k2lab.server.probes import PART_LITERAL

FIXES = {
    "94a4053eb8863059dd8afc00937f054e1365abbd": "Kimi-K2-Instruct-0905 with the template mended",
    "0102674b179db4ca5a28cd9a4fb446f87f0c1454": "Kimi-K2-Instruct with the template mended",
    "09d5f937b41ae72c90d7155c9a901e2b5831dfaf": "Kimi-K2-Instruct-0905 as the published story had it, before the fix",
}
"""Revisions that the published story names."""

MOST_CODE = 1 << 20
"""Bytes of a Python file that is read."""

FLAG = "add_generation_prompt"
MARKERS = (
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
)


def examined_files(spec: str, *, family: Family | None = None, trust_remote_code: bool = False) -> Examination:
    """What the files of a folder, or of ``hub:REPO@SHA``, say; raises :class:`~k2lab.errors.SourceError` for no folder.

    ``family`` is whose it is, where its files do not say. ``trust_remote_code``
    runs the code of one whose prompts are made by code, beside k2lab's renderer.

    >>> from k2lab.nano import folders
    >>> [finding.code for finding in examined_files(str(folders.assemble("legacy"))).present]
    ['P001']
    """
    source = open_source(spec, trust_remote_code=False, family=family)
    if source.writes_xtml:
        return xtmlfolder.examined(source, trust_remote_code=trust_remote_code)
    findings = (_generation_prompt(source), _content(source), _markers(source), stopping.of_end(source, special.END))
    return Examination(subject=spec, findings=in_order(findings), notes=tuple(_notes(source, findings)))


def _generation_prompt(source: Source) -> Finding:
    name = "generation_prompt_dropped"
    template = source.chat_templates.usual
    read = known.read_by(template)
    if read is None:
        return Finding.of(name, "unknown", f"the template {template.name} cannot be read")
    if FLAG in read:
        return Finding.of(name, "absent", f"the template reads {FLAG} itself: every release hands it over")
    try:
        signature = _signature(source)
    except (K2LabError, SyntaxError, ValueError, RecursionError) as error:
        return Finding.of(name, "unknown", f"the template does not read {FLAG}, and its code: {first_line(error)}")
    if signature is None:
        said = f"neither the template nor a tokenizer class of the folder knows {FLAG}: no release adds the prompt"
        return Finding.of(name, "present", said)
    if FLAG in signature:
        return Finding.of(name, "absent", f"{FLAG} is in the signature of the tokenizer's apply_chat_template")
    said = f"the template does not read {FLAG}, and apply_chat_template({', '.join(signature)}) does not declare it"
    return Finding.of(name, "present", f"{said}: vLLM before 0.11.1 drops it, 0.11.1 and later hand it over")


def _signature(source: Source) -> list[str] | None:
    """The parameters of the ``apply_chat_template`` of the folder's code; ``None`` where it has none of its own."""
    if source.folder is None:
        return None
    for file in consent.code_of(source.folder).tokenizer:
        path = source.folder / file
        if path.stat().st_size > MOST_CODE:
            raise ValueError(f"{file} is too long to be read")
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef) and node.name == "apply_chat_template":
                return list(_parameters(node.args))
    return None


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    yield from (each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))
    if arguments.kwarg:
        yield f"**{arguments.kwarg.arg}"


def _content(source: Source) -> Finding:
    name = "content_printed_as_list"
    template = source.chat_templates.chosen(tools=True)
    form = contentformat.detected(template.text)
    if form is None:
        return Finding.of(name, "unknown", f"the template {template.name} cannot be read")
    if form == "string":
        return Finding.of(name, "absent", "vLLM detects contents that are texts, and leaves them so")
    history = as_served(Request.of(after_a_call(""), [WEATHER]))
    try:
        literals = PART_LITERAL.findall(prompt_of(source, history).text)
    except K2LabError as error:
        return Finding.of(name, "unknown", f"vLLM detects lists of parts, which fail in the template: {error}")
    if not literals:
        return Finding.of(name, "absent", "vLLM detects lists of parts, and the template writes their texts")
    said = f"every release detects lists of parts, makes one of each content, and the template prints {literals[0]}"
    return Finding.of(name, "present", said)


def _markers(source: Source) -> Finding:
    name = "special_tokens_stripped"
    special = _special_flags(source.folder) if source.folder else {}
    there = {marker: special[marker] for marker in MARKERS if marker in special}
    if not there:
        return Finding.of(name, "unknown", "no file of the folder says whether the markers of calls are special")
    if any(there.values()):
        said = f"{next(marker for marker in there if there[marker])} is special: vLLM 0.11.0 strips it before it parses"
        return Finding.of(name, "present", said)
    return Finding.of(name, "absent", f"the {len(there)} markers of calls are not special")


def _special_flags(folder: Path) -> dict[str, bool]:
    """Whether each added token is special, as ``tokenizer_config.json`` or ``tokenizer.json`` says."""
    config = files.read_object(folder / files.CONFIG).get("added_tokens_decoder")
    tokens: list[Any] = list(config.values()) if isinstance(config, dict) else []
    if not tokens and (folder / "tokenizer.json").exists():
        added = files.read_object(folder / "tokenizer.json").get("added_tokens")
        tokens = added if isinstance(added, list) else []
    rows = (token for token in tokens if isinstance(token, dict))
    return {str(row.get("content")): bool(row.get("special")) for row in rows}


def _notes(source: Source, findings: tuple[Finding, ...]) -> Iterator[str]:
    states = {finding.name: finding.state for finding in findings}
    prompt, content, marked = (
        states[name] for name in ("generation_prompt_dropped", "content_printed_as_list", "special_tokens_stripped")
    )
    by_fault = {
        "0.11.0 and before": (prompt, content, marked),
        "0.11.1 to 0.32.0": ("absent" if "0.11.1" in findings[0].evidence else prompt, content, "absent"),
    }
    for release, (dropped, printed, stripped) in by_fault.items():
        words = {"generation prompt dropped": dropped, "'' printed as a list": printed, "markers stripped": stripped}
        told = [what for what, state in words.items() if state == "present"]
        told += [f"{what}: not known" for what, state in words.items() if state == "unknown"]
        yield f"vLLM {release}: {', '.join(told) or 'none of these faults'}"
    sha = source.spec.rpartition("@")[2]
    if sha in FIXES:
        yield f"revision {sha[:8]}: {FIXES[sha]}"
    if "unknown" not in (prompt, content):
        side = "after" if prompt == content == "absent" else "before"
        yield f"the template does as those {side} the fixing commits 94a4053e (K2-0905) and 0102674b (K2) do"
