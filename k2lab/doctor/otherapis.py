"""Experiments on the Responses and the Messages API: whether the same conversation comes to the same prompt there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from k2lab.apis import API_NAMES, Api
from k2lab.chat import Request
from k2lab.chat.calls import function_of
from k2lab.doctor.experiments import Experiment, quoted
from k2lab.doctor.goldencounts import ASK, WEATHER
from k2lab.doctor.patient import Patient, counted
from k2lab.doctor.replaying import NAMES as REASONING_FIELDS
from k2lab.errors import UnsupportedError
from k2lab.findings import Finding, State
from k2lab.server.transport import StatusError

Json = Mapping[str, object]

FIRST, SECOND = (
    "It is 18 degrees there.",
    " The evening will be dry, with a light wind from the west, and the night clear.",
)
"""Two parts of a text: the second has more than :data:`ALIKE` tokens whatever the tokenizer."""

ALIKE = 5
"""Tokens by which prompts may differ that say the same: where parts meet, or how a list of texts is printed."""

FEWEST_TOKENS: Mapping[Api, Json] = {
    "responses": {"max_output_tokens": 16, "store": False},
    "messages": {"max_tokens": 1},
}
"""The least that each API takes."""

NOT_SERVED = (404, 405, 501)

CALL_ID, ARGUMENTS = "functions.get_weather:0", {"city": "Paris"}
FUNCTION = function_of(WEATHER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One conversation as each API has it."""

    name: str
    chat: Request
    responses: Json
    messages: Json
    thinks: bool = False
    """Whether only a family that reasons has a place for it."""

    def of(self, api: Api) -> Json:
        """The request of another API."""
        return self.responses if api == "responses" else self.messages


def _user(text: str) -> Json:
    return {"role": "user", "content": text}


def _items(*items: Json) -> Json:
    return {"input": [_user(ASK), *items], "tools": [{"type": "function", **FUNCTION}]}


def _blocks(*messages: Json) -> Json:
    rest = {name: value for name, value in FUNCTION.items() if name != "parameters"}
    return {"messages": [_user(ASK), *messages], "tools": [{**rest, "input_schema": FUNCTION["parameters"]}]}


def _chat(*messages: Json) -> Request:
    return Request.of([_user(ASK), *messages], [WEATHER])


def _said(*texts: str) -> Json:
    parts = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": parts}


def _texts(*texts: str) -> list[Json]:
    return [{"type": "text", "text": text} for text in texts]


def _thought(*texts: str) -> Json:
    parts = [{"type": "reasoning_text", "text": text} for text in texts]
    return {"type": "reasoning", "id": "rs_1", "summary": [], "content": parts}


_call = {"id": CALL_ID, "type": "function", "function": {"name": "get_weather", "arguments": json.dumps(ARGUMENTS)}}
_called = {"role": "assistant", "content": FIRST, "tool_calls": [_call]}
_result = {"role": "tool", "tool_call_id": CALL_ID, "content": SECOND}
_call_item = {"type": "function_call", "call_id": CALL_ID, "name": "get_weather", "arguments": json.dumps(ARGUMENTS)}
_result_item = {"type": "function_call_output", "call_id": CALL_ID, "output": SECOND}
_call_block = {"type": "tool_use", "id": CALL_ID, "name": "get_weather", "input": ARGUMENTS}
_result_block = {"type": "tool_result", "tool_use_id": CALL_ID, "content": SECOND}
_results = {"role": "user", "content": [_result_block]}
_thinking = [{"type": "thinking", "thinking": text, "signature": ""} for text in (FIRST, SECOND)]

CASES = (
    Case(name="an ask with a tool", chat=_chat(), responses=_items(), messages=_blocks()),
    Case(
        name="an answer in two parts",
        chat=_chat({"role": "assistant", "content": FIRST + SECOND}, _user("Thank you.")),
        responses=_items(_said(FIRST, SECOND), _user("Thank you.")),
        messages=_blocks({"role": "assistant", "content": _texts(FIRST, SECOND)}, _user("Thank you.")),
    ),
    Case(
        name="a call behind a text, and its result",
        chat=_chat(_called, _result),
        responses=_items(_said(FIRST), _call_item, _result_item),
        messages=_blocks({"role": "assistant", "content": [*_texts(FIRST), _call_block]}, _results),
    ),
    Case(
        name="a result in two parts",
        chat=_chat({**_called, "content": None}, {**_result, "content": FIRST + SECOND}),
        responses=_items(
            _call_item,
            {**_result_item, "output": [{"type": "input_text", "text": text} for text in (FIRST, SECOND)]},
        ),
        messages=_blocks(
            {"role": "assistant", "content": [_call_block]},
            {"role": "user", "content": [{**_result_block, "content": _texts(FIRST, SECOND)}]},
        ),
    ),
    Case(
        name="a call's reasoning in two parts",
        chat=_chat({**_called, "content": None, **dict.fromkeys(REASONING_FIELDS, FIRST + SECOND)}, _result),
        responses=_items(_thought(FIRST, SECOND), _call_item, _result_item),
        messages=_blocks({"role": "assistant", "content": [*_thinking, _call_block]}, _results),
        thinks=True,
    ),
)

ASK_CASE = CASES[0]
"""An ask that every model answers with a call."""

NAMES: Mapping[Api, str] = {"responses": "responses_prompt_differs", "messages": "messages_prompt_differs"}


def _run(patient: Patient) -> Iterator[Finding]:
    cases = [case for case in CASES if patient.thinks or not case.thinks]
    wanted = [patient.prompt_tokens(case.chat) for case in cases]
    for api, name in NAMES.items():
        try:
            yield _compared(name, cases, wanted, [_tokens(patient, api, case) for case in cases])
        except UnsupportedError as error:
            yield Finding.of(name, "unknown", str(error))


def _compared(name: str, cases: Sequence[Case], wanted: Sequence[int], got: Sequence[int | str]) -> Finding:
    """Each case's tokens, or why it was refused, beside those of the same chat request."""
    rows = list(zip(cases, wanted, got, strict=True))
    refused = [f"{case.name} is refused: {said}" for case, _, said in rows if isinstance(said, str)]
    unlike = [
        f"{case.name} makes a prompt of {said} tokens, and of {count} as a chat request"
        for case, count, said in rows
        if isinstance(said, int) and abs(said - count) > ALIKE
    ]
    alike = [case.name for case, count, said in rows if isinstance(said, int) and abs(said - count) <= ALIKE]
    told = f"as long as of a chat request: the prompts of {', '.join(alike)}" if alike else ""
    state: State = "present" if unlike else "unknown" if refused else "absent"
    return Finding.of(name, state, "; ".join([*unlike, *refused, *([told] if told else [])]))


def _tokens(patient: Patient, api: Api, case: Case) -> int | str:
    """How long the prompt of a request is, as the server bills it, or its words where it refuses it."""
    body = {"temperature": 0, **case.of(api), **FEWEST_TOKENS[api]}
    try:
        answer = patient.asked(partial(patient.endpoint.asked, api, body))
    except StatusError as error:
        said = refusal(error)
        if said is None:
            raise UnsupportedError(f"the server does not serve {API_NAMES[api]}: {error}") from None
        return said
    usage = answer.get("usage")
    if not isinstance(usage, Mapping):
        raise UnsupportedError(f"an answer of {API_NAMES[api]} does not say how many tokens its prompt has")
    cached = ("cache_read_input_tokens", "cache_creation_input_tokens") if api == "messages" else ()
    return counted("input_tokens", usage) + sum(counted(name, usage) for name in cached if usage.get(name))


def refusal(error: StatusError) -> str | None:
    """What a server says that refuses a request; ``None`` where it does not serve the API at all."""
    return None if error.status in NOT_SERVED else quoted(str(error), 160)


OTHER_APIS = Experiment(
    name="other APIs",
    asks="the same conversations as chat, Responses and Messages requests: how long is the prompt of each?",
    names=tuple(NAMES.values()),
    requests=3 * len(CASES),
    run=_run,
)
