"""A folder of Kimi K3's by its files: whether its prompts can be made, its markers read, and how it is to be served.

Facts, of vLLM 0.32.0 (``renderers/kimi_k3.py``): ``--tokenizer-mode kimi_k3``
calls the tokenizer's ``apply_chat_template(conversation, add_generation_prompt=…,
tokenize=True, …)``, and takes what comes for the prompt's ids; the mode is taken
by itself for the architecture ``KimiK3ForConditionalGeneration`` alone. Its
parsers for K3 keep special tokens, whatever the tokenizer says of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from k2lab.doctor import stopping
from k2lab.doctor.examination import Examination, in_order
from k2lab.doctor.goldencounts import samples_of
from k2lab.errors import K2LabError, SourceError, first_line
from k2lab.families import special
from k2lab.findings import Finding
from k2lab.prompt import carried, consent, files, xtml
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.source import Source, family_by_files, open_source

ARCHITECTURE = "KimiK3ForConditionalGeneration"
METHOD, FLAG = "apply_chat_template", "add_generation_prompt"
EXPECTED = ("config.json", "generation_config.json", files.CONFIG)
MOST_CODE = 1 << 20
"""Bytes of a Python file that is read."""

MARKERS = (special.OPEN, special.CLOSE, special.SEP, special.END_OF_MSG)


@dataclass(frozen=True)
class _Renderer:
    """The code of a folder that makes its prompts: the file of its class, and the parameters of its method."""

    folder: Path

    @cached_property
    def code(self) -> consent.Code:
        return consent.code_of(self.folder)

    @cached_property
    def method(self) -> tuple[str, ast.arguments] | None:
        """Where the method stands, and what it takes; ``None`` where no class has one."""
        for file in self.code.tokenizer:
            for node in ast.walk(self._read(file)):
                if isinstance(node, ast.FunctionDef) and node.name == METHOD:
                    return file, node.args
        return None

    @cached_property
    def lacking(self) -> str:
        """What is missing of it, in words; empty where nothing is."""
        if not self.code.tokenizer:
            return f"auto_map of {files.CONFIG} names no tokenizer class of the folder's own"
        if self.code.missing:
            return f"auto_map names {self.code.missing[0]}, which is not there"
        for file, module in self._imported(self.code.tokenizer):
            if not files.is_file(self.folder / f"{module}.py"):
                return f"{file} imports {module}.py, which is not there"
        return "" if self.method else f"no class of {', '.join(self.code.tokenizer)} has an {METHOD}"

    def _imported(self, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Modules of the folder that these files import, and those that they import."""
        left, seen = list(names), set(names)
        while left:
            file = left.pop()
            for node in ast.walk(self._read(file)):
                if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
                    module = node.module.partition(".")[0]
                    yield file, module
                    if f"{module}.py" not in seen and files.is_file(self.folder / f"{module}.py"):
                        seen.add(f"{module}.py")
                        left.append(f"{module}.py")

    def _read(self, file: str) -> ast.Module:
        return ast.parse(files.read_bytes(self.folder / file, MOST_CODE))


def examined(source: Source, *, trust_remote_code: bool = False) -> Examination:
    """What the files of a folder of Kimi K3's say; with ``trust_remote_code``, what its code makes as well.

    Raises :class:`~k2lab.errors.SourceError` for a source that is no folder.

    >>> from k2lab.nano import folders
    >>> found = examined(open_source(folders.assemble("k3")))
    >>> found.present, found.notes[0]
    ((), 'Kimi K3, by its added tokens')
    """
    if source.folder is None:
        raise SourceError(f"{source.spec} is no folder: give one, or hub:REPO@SHA")
    renderer = _Renderer(source.folder)
    findings = (
        _generation_prompt(renderer),
        _prompts(source, renderer, trust_remote_code),
        _of_code(renderer),
        _markers(source),
        Finding.of("special_tokens_stripped", "absent", "vLLM's parsers for Kimi K3 keep its markers, special or not"),
        stopping.of_end(source, special.END_OF_MSG),
    )
    return Examination(subject=source.spec, findings=in_order(findings), notes=tuple(_notes(source, source.folder)))


def _of_code(renderer: _Renderer) -> Finding:
    name = "renderer_missing"
    try:
        lacking, method = renderer.lacking, renderer.method if not renderer.lacking else None
    except _UNREADABLE as error:
        return Finding.of(name, "unknown", first_line(error))
    if lacking or method is None:
        return Finding.of(name, "present", lacking)
    return Finding.of(name, "absent", f"{method[0]} has an {METHOD}, and all of the folder's own that it imports")


_UNREADABLE = (K2LabError, SyntaxError, ValueError, RecursionError)


def _generation_prompt(renderer: _Renderer) -> Finding:
    name = "generation_prompt_dropped"
    try:
        method = None if renderer.lacking else renderer.method
    except _UNREADABLE as error:
        return Finding.of(name, "unknown", first_line(error))
    if method is None:
        return Finding.of(name, "unknown", "nothing in the folder makes prompts")
    taken = [each.arg for each in (*method[1].args, *method[1].kwonlyargs)]
    if FLAG in taken:
        return Finding.of(name, "absent", f"{METHOD} of {method[0]} takes {FLAG}")
    if method[1].kwarg:
        said = f"{METHOD} of {method[0]} takes {FLAG} by **{method[1].kwarg.arg}: running it shows what becomes of it"
        return Finding.of(name, "unknown", f"{said} (--trust-remote-code, or k2lab doctor --render)")
    said = (
        f"{METHOD}({', '.join(taken)}) of {method[0]} does not take {FLAG}, which vLLM hands to it: each request fails"
    )
    return Finding.of(name, "present", said)


def _prompts(source: Source, renderer: _Renderer, trust_remote_code: bool) -> Finding:
    """Whether the folder's own code makes the prompts that are made here."""
    name = "prompt_differs"
    try:
        if renderer.lacking:
            return Finding.of(name, "unknown", "nothing in the folder makes prompts")
        own = renderer.code.files
        if not renderer.code.foreign and carried.carried_files().keys() <= set(own):
            return Finding.of(name, "absent", f"the folder's code is k2lab's own renderer: {', '.join(own)}")
        if not trust_remote_code:
            said = f"the folder's own code makes the prompts ({', '.join(own[:3])}), and was not run"
            return Finding.of(name, "unknown", f"{said}: read it, then give --trust-remote-code")
        return _compared(source, open_source(source.spec, trust_remote_code=True, family=source.family))
    except _UNREADABLE as error:
        return Finding.of(name, "unknown", first_line(error))


def _compared(ours: Source, theirs: Source) -> Finding:
    name, samples = "prompt_differs", samples_of(ours.family)
    for sample in samples:
        made, own = (prompt_of(one, sample.request).token_ids or () for one in (ours, theirs))
        if made != own:
            place = next((at for at, pair in enumerate(zip(made, own, strict=False)) if pair[0] != pair[1]), len(made))
            said = f"of {sample.name!r} the folder's code makes {len(own)} ids, and the format has {len(made)}"
            return Finding.of(name, "present", f"{said}; they part at id {min(place, len(own))}")
    return Finding.of(
        name, "absent", f"the folder's code makes the ids of {len(samples)} prompts as they are made here"
    )


def _markers(source: Source) -> Finding:
    name = "markers_no_tokens"
    try:
        tokenizer = source.tokenizer
        if tokenizer is None:
            return Finding.of(name, "unknown", "the folder has neither tokenizer.json nor tiktoken.model")
        if source.slots:
            said = f"{files.CONFIG} does not name {', '.join(MARKERS)} among the added tokens of tiktoken.model"
            return Finding.of(name, "present", said)
        ids = {marker: tokenizer.encode(marker) for marker in MARKERS}
    except _UNREADABLE as error:
        return Finding.of(name, "unknown", first_line(error))
    for marker, made in ids.items():
        if len(made) != 1:
            return Finding.of(
                name, "present", f"{marker} is {len(made)} tokens of this tokenizer, and one of Kimi K3's"
            )
    return Finding.of(name, "absent", ", ".join(f"{marker} is {made[0]}" for marker, made in ids.items()))


def _notes(source: Source, folder: Path) -> Iterator[str]:
    assert source.family is not None
    config = files.read_object(folder / "config.json")
    kind = config.get("model_type")
    told = "as was said" if family_by_files(folder) is not source.family else "by its added tokens"
    yield f"Kimi K3, {f'by its model_type {kind}' if kind == source.family.model_type else told}"
    flags = " ".join((*source.family.serving, "--enable-auto-tool-choice", "--trust-remote-code"))
    yield f"serve it on vLLM 0.32.0 or later with {flags}"
    if ARCHITECTURE not in (config.get("architectures") or ()):
        yield f"its architecture is not {ARCHITECTURE}: vLLM takes --tokenizer-mode kimi_k3 from the flag alone"
    missing = [file for file in EXPECTED if not files.is_file(folder / file)]
    missing += [] if any(folder.glob("*.safetensors")) else ["weights (*.safetensors)"]
    if missing:
        yield f"not in the folder: {', '.join(missing)}"
    if files.is_there(folder / files.TEMPLATE):
        yield f"{files.TEMPLATE} is not read: Kimi K3's prompts are made by code"
    effort, _ = xtml.usual_effort(folder)
    taken = f"{xtml.CODE} takes {effort}" if effort else "no default of the folder's code is known"
    yield f"where a request says no level of thinking, {taken}"
    yield "not looked at, as there is no chat template: P002 and P003"
