"""An experiment on the answers of the Responses and the Messages API: whether a call comes by these, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from k2lab.apis import PATH_OF, Api, answer_as_chat, assembly_of
from k2lab.chat import Answer, ToolCall, canonical
from k2lab.doctor.experiments import Experiment, quoted
from k2lab.doctor.otherapis import ASK_CASE, refusal
from k2lab.doctor.patient import MAX_TOKENS, THINKING_TOKENS, Patient
from k2lab.doctor.streams import read_stream
from k2lab.errors import UnsupportedError
from k2lab.findings import Finding
from k2lab.findings.texts import leaked, marked
from k2lab.server.transport import StatusError

LOST = "call_lost_in_another_api"
MOST: Mapping[Api, str] = {"responses": "max_output_tokens", "messages": "max_tokens"}
"""What an API calls the most tokens of an answer."""


def _run(patient: Patient) -> Iterator[Finding]:
    wanted = patient.called.calls
    if not wanted:
        raise UnsupportedError("an ask that should be a call gives none as a chat request either")
    told = {way: _told(patient, wanted, *way) for way in ((api, stream) for api in MOST for stream in (False, True))}
    served = {way: said for way, said in told.items() if said is not None}
    if not served:
        raise UnsupportedError("the server serves neither the Responses nor the Messages API")
    wrong = [f"{_name(*way)}: {said}" for way, said in served.items() if said]
    if wrong:
        yield Finding.of(LOST, "present", "; ".join(wrong))
    else:
        yield Finding.of(LOST, "absent", f"the call comes by {', '.join(_name(*way) for way in served)}")


def _name(api: Api, stream: bool) -> str:
    return f"/v1{PATH_OF[api]}, {'streamed' if stream else 'whole'}"


def _told(patient: Patient, wanted: tuple[ToolCall, ...], api: Api, stream: bool) -> str | None:
    """What is wrong with the answer, empty where nothing is; ``None`` of an API that is not served."""
    most = THINKING_TOKENS if patient.thinks else MAX_TOKENS
    body = {"temperature": 0, **ASK_CASE.of(api), MOST[api]: most, "stream": stream}
    try:
        answer = _streamed(patient, api, body) if stream else _whole(patient, api, body)
    except StatusError as error:
        return refusal(error)
    except UnsupportedError as error:
        return str(error)
    return _fault(answer, wanted)


def _fault(answer: Answer, wanted: tuple[ToolCall, ...]) -> str:
    text = answer.content or ""
    came, asked = canonical(answer.calls), canonical(wanted)
    if came != asked:
        got = f"{quoted(came, 120)} in place of {quoted(asked, 120)}" if came else "no call"
        return f"{got}, and the text {quoted(text, 60)!r}" if text else got
    return f"the call, and the text {quoted(text, 60)!r}" if leaked(text) or marked(text) else ""


def _whole(patient: Patient, api: Api, body: Mapping[str, object]) -> Answer:
    return _as_chat(api, patient.asked(partial(patient.endpoint.asked, api, body)))


def _streamed(patient: Patient, api: Api, body: Mapping[str, object]) -> Answer:
    assembly = assembly_of(api)
    assert assembly is not None
    got = read_stream(patient.asked(partial(patient.endpoint.asked_streamed, api, body)))
    try:
        for event in got.events:
            assembly.event(event)
    except (TypeError, AttributeError, ValueError) as error:
        raise UnsupportedError(f"an event of another shape: {error}") from None
    return _as_chat(api, assembly.answer())


def _as_chat(api: Api, answer: Mapping[str, object]) -> Answer:
    made = answer_as_chat(api, answer).value
    if not made:
        raise UnsupportedError("an answer of another shape")
    return Answer.of(made)


OTHER_ANSWERS = Experiment(
    name="answers of other APIs",
    asks="a call by the Responses and the Messages API, whole and streamed",
    names=(LOST,),
    requests=5,
    run=_run,
)
