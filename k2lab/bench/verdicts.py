"""What one answer is worth: K2-Vendor-Verifier's verdict, and a strict one with the cause of each fault.

A result that K2VV's own runner judged keeps that verdict. The strict one is
never given on what is not there: where a file holds the prompt as text, its
tools and history are unknown, and only what shows without them is a fault.

The JSON Schema verdict is jsonschema's, as K2VV's runner uses it (Draft 2020-12
unless the schema says otherwise); a schema is compiled once. jsonschema-rs
passes what it finds valid, and leaves the rest, and keywords in which the two
are known to differ, to jsonschema. Nothing is fetched for a ``$ref``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from k2lab import wire
from k2lab.bench import answers
from k2lab.bench.answers import AnswerFault, Said, Unjudged, function_of

if TYPE_CHECKING:
    from k2lab.bench.store import Result

CallFault = Literal[
    "no_name",
    "undeclared_tool",
    "arguments_not_json",
    "arguments_no_object",
    "schema_violation",
    "malformed_id",
    "wrong_index",
]

RAW = "prompt "
"""How the digest of a prompt as text begins: it says nothing about the messages that were rendered."""

PYTHON_KEYWORDS = ('"pattern', '"multipleOf"', '"uniqueItems"', '"$dynamicRef"')
"""Keywords that the two validators do not read alike in every case: regular expressions, fractions, 1 and true."""


@dataclass(frozen=True)
class CallVerdict:
    """One call: ``fault`` is the first thing wrong with it, ``unjudged`` why more than that cannot be said."""

    name: str
    fault: CallFault | None
    detail: str = ""
    unjudged: Unjudged | None = None


@dataclass(frozen=True)
class Verdict:
    """One answer. ``k2vv_valid`` is what K2VV's runner writes as ``tool_calls_valid``: ``None`` is not asked."""

    k2vv_valid: bool | None
    calls: tuple[CallVerdict, ...]
    faults: tuple[AnswerFault, ...]
    """Of the answer as a whole."""
    unjudged: tuple[Unjudged, ...]
    """Why some of it cannot be judged: empty where all can."""
    cut_short: bool

    @property
    def sound(self) -> bool:
        """Whether it ends as it should and every call of it is declared, valid, rightly numbered and asked for."""
        whole = not (self.faults or self.unjudged or self.cut_short)
        return bool(self.calls) and whole and not any(call.fault for call in self.calls)

    @property
    def judged(self) -> bool:
        """Whether all of it can be judged."""
        return not self.unjudged


@dataclass(frozen=True)
class Judged:
    """A stored result with its verdict, without the texts."""

    data_index: int
    trial: int
    answered: bool
    finish_reason: str | None
    failure: str | None
    verdict: Verdict
    calls: str
    """Names and arguments as one canonical text, to tell whether two answers call the same."""
    messages: str
    """A digest of the request's messages before they were changed; see :func:`messages_of`."""
    duration_ms: float
    first_ms: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None


def judge_all(results: Iterable[Result]) -> Iterator[Judged]:
    """A verdict for each stored result; the valid of K2VV's own runner where it gave one."""
    for result in results:
        response = result.response or {}
        stored = (result.line or {}).get("tool_calls_valid")
        yield Judged(
            result.data_index,
            result.trial,
            result.status == "success",
            result.finish_reason,
            result.failure,
            judge(
                result.asked,
                response,
                stored=stored if isinstance(stored, bool) else None,
                plain=answers.is_raw(result.request),
            ),
            called(response),
            messages_of(result.asked),
            result.duration_ms,
            result.first_ms,
            result.prompt_tokens,
            result.completion_tokens,
            total_tokens_of(response),
        )


def judge(
    request: Mapping[str, Any], response: Mapping[str, Any], *, stored: bool | None = None, plain: bool = False
) -> Verdict:
    """An answer in the shape of ``/chat/completions`` against the tools and the history of its request.

    ``stored`` is the verdict that K2VV's runner gave. Where that is valid and
    the request has no tools, they were left out of the file. ``plain`` says that
    the request was sent as a plain completion, without its ``tool_choice``.
    """
    said = answers.said(response)
    left_out = answers.is_raw(request) or (stored is True and not request.get("tools"))
    known = None if left_out else _tools(request.get("tools"))
    earlier = sum(_length(message.get("tool_calls")) for message in request.get("messages") or ())
    calls = tuple(_call_verdict(call, known, earlier + place) for place, call in enumerate(said.calls))
    reasons = (answers.unjudged(request, said, known, plain=plain), *(call.unjudged for call in calls))
    return Verdict(
        _k2vv_verdict(request, said) if stored is None else stored,
        calls,
        answers.faults(request, said, plain=plain),
        tuple(dict.fromkeys(reason for reason in reasons if reason)),
        said.cut_short,
    )


def total_tokens_of(response: Mapping[str, Any]) -> int | None:
    """What the server says it read and wrote together; it may count more than prompt and completion."""
    usage = response.get("usage")
    value = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) else None


def called(response: Mapping[str, Any]) -> str:
    """The calls of an answer, names and decoded arguments, as one canonical text; empty where it calls nothing."""
    made = []
    for call in answers.said(response).calls:
        function = function_of(call)
        arguments = function.get("arguments")
        decoded, problem = _decode(arguments)
        made.append([function.get("name"), arguments if problem else decoded])
    return json.dumps(made, sort_keys=True) if made else ""


def messages_of(request: Mapping[str, Any]) -> str:
    """A digest of a request's messages, K2VV's role ``_input`` read as ``system``; of its text where it is raw."""
    messages = [{**m, "role": "system"} if m.get("role") == "_input" else m for m in request.get("messages") or ()]
    raw = answers.is_raw(request)
    text = json.dumps(request.get("prompt") if raw else messages, sort_keys=True)
    return RAW * raw + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def schema_error(schema: Any, value: Any) -> tuple[bool, str]:
    """``(judged, error)``: whether the schema is one at all, and what is wrong with the value; empty for nothing."""
    compiled = _compiled(json.dumps(schema, sort_keys=True))
    if compiled.broken:
        return False, compiled.broken
    return True, compiled.error(value)


class _Compiled:
    """A schema ready for use, or why it is none."""

    def __init__(self, schema: Any, text: str) -> None:
        import jsonschema
        from jsonschema_specifications import REGISTRY

        self.broken = ""
        self._fast: Any = None
        try:
            validator = jsonschema.validators.validator_for(schema)
            validator.check_schema(schema)
            self._exact = validator(schema, registry=REGISTRY)  # without it, a $ref to a URL is fetched
        except Exception as error:
            self.broken = _line(error)
            return
        if not any(keyword in text for keyword in PYTHON_KEYWORDS):
            self._fast = _fast(validator.__name__, schema)

    def error(self, value: Any) -> str:
        import jsonschema

        if self._fast is not None and _passes(self._fast, value):
            return ""
        try:
            found = jsonschema.exceptions.best_match(self._exact.iter_errors(value))
        except Exception as error:  # an unresolvable $ref, a pattern that is none: K2VV calls that invalid, too
            return _line(error)
        return "" if found is None else f"{found.json_path}: {found.message}"[:300]


@lru_cache(maxsize=4096)
def _compiled(text: str) -> _Compiled:
    return _Compiled(json.loads(text), text)


def _fast(draft: str, schema: Any) -> Any:
    import jsonschema_rs

    try:
        return getattr(jsonschema_rs, draft)(schema, validate_formats=False)
    except Exception:  # what it cannot compile, or a draft it lacks, is left to jsonschema
        return None


def _passes(validator: Any, value: Any) -> bool:
    try:
        return bool(validator.is_valid(value))
    except Exception:  # a value it cannot take, such as a lone surrogate
        return False


def _call_verdict(call: object, tools: Mapping[str, Any] | None, index: int) -> CallVerdict:
    """``tools`` is ``None`` where they, and the index that the history asks for, are not known."""
    function = function_of(call)
    name = function.get("name")
    if not isinstance(name, str) or not name:
        return CallVerdict("", "no_name", f"a call without a name: {str(call)[:100]}")
    if tools is not None and name not in tools:
        return CallVerdict(name, "undeclared_tool", f"declared: {', '.join(sorted(tools)) or 'none'}")
    arguments, problem = _decode(function.get("arguments"))
    if problem:
        return CallVerdict(name, "arguments_not_json", problem)
    if not isinstance(arguments, dict):
        return CallVerdict(name, "arguments_no_object", f"arguments are {json.dumps(arguments)[:100]}")
    judged, error = True, ""
    if tools and tools[name] is not None:
        judged, error = schema_error(tools[name], arguments)
    if judged and error:
        return CallVerdict(name, "schema_violation", error)
    fault, detail = _id_fault(call.get("id") if isinstance(call, Mapping) else None, name, index)
    if tools is None:
        fault = fault if fault == "malformed_id" else None
        return CallVerdict(name, fault, detail if fault else "", "tools_not_in_the_file")
    broken: Unjudged | None = None if judged else "broken_schema"
    return CallVerdict(name, fault, detail if judged else f"the tool's schema is broken: {error}", broken)


def _id_fault(value: object, name: str, index: int) -> tuple[CallFault | None, str]:
    match = wire.ID.fullmatch(value) if isinstance(value, str) else None
    if match is None or match["name"] != name:
        return "malformed_id", f"id {value!r} is not functions.{name}:IDX"
    if int(match["index"]) != index:
        return "wrong_index", f"id {value!r} does not run on from the history, which asks for {index}"
    return None, ""


def _k2vv_verdict(request: Mapping[str, Any], said: Said) -> bool | None:
    if said.finish_reason != "tool_calls" or not said.calls or answers.is_raw(request):
        return None
    return all(_k2vv_valid(call, request.get("tools", [])) for call in said.calls)


def _k2vv_valid(call: Any, tools: Any) -> bool:
    """K2VV's check of one call, step by step: a tool without parameters is never valid, a broken schema neither."""
    try:
        function = call["function"]
        name = function["name"]
        schema = next((tool["function"]["parameters"] for tool in tools if tool["function"]["name"] == name), None)
        if not schema:
            return False
        arguments = function["arguments"]
        if isinstance(arguments, str):
            arguments = json.loads(arguments)
    except (KeyError, TypeError, ValueError, RecursionError):
        return False
    judged, error = schema_error(schema, arguments)
    return judged and not error


def _tools(tools: object) -> dict[str, Any]:
    """Schema by name of declared tool, the first of a name; ``None`` for a tool without parameters."""
    found: dict[str, Any] = {}
    for tool in tools if isinstance(tools, list) else ():
        function = function_of(tool)
        if isinstance(function.get("name"), str):
            found.setdefault(function["name"], function.get("parameters"))
    return found


def _decode(arguments: object) -> tuple[Any, str]:
    """Decoded arguments, and what is wrong with their JSON; a server may send them decoded already."""
    if not isinstance(arguments, str):
        return arguments, "" if arguments is not None else "there are no arguments"
    try:
        return json.loads(arguments), ""
    except (ValueError, RecursionError) as error:
        return None, f"{_line(error)}: {arguments[:100]!r}"


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
