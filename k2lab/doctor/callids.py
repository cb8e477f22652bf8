"""An experiment on ids: those that the server gives to calls, and what becomes of them when they are handed back."""

from __future__ import annotations

from collections.abc import Iterator

from k2lab import wire
from k2lab.chat import Request
from k2lab.doctor.dictation import FORMS
from k2lab.doctor.experiments import Experiment, quoted
from k2lab.doctor.goldencounts import CALL_ID, SPACED, WEATHER, after_a_call
from k2lab.doctor.outputs import section
from k2lab.doctor.patient import ASKED, Patient
from k2lab.errors import EndpointError, UnsupportedError
from k2lab.findings import Finding

NAME = "call_ids_not_taken_back"


def _run(patient: Patient) -> Iterator[Finding]:
    given = _given(patient)
    if wire.ID.fullmatch(given):
        yield Finding.of(NAME, "absent", f"the id of a call is the model's own, {quoted(given, 80)}")
        return
    text = _prompt_after(patient, given)
    told = f"a call came under the id {quoted(given, 80)!r}"
    if CALL_ID in text:
        yield Finding.of(NAME, "absent", f"{told}; handed back, it stands in the prompt as {CALL_ID}")
    elif given in text:
        yield Finding.of(NAME, "present", f"{told}; handed back, it stands so in the prompt")
    else:
        yield Finding.of(NAME, "unknown", f"{told}; handed back, neither it nor {CALL_ID} stands in the prompt")


def _given(patient: Patient) -> str:
    """The id of a call: of one that the model made, else of one that was dictated."""
    calls = patient.called.calls
    if not calls:
        try:
            calls = patient.chat(ASKED, **FORMS["structured_outputs.choice"](section(CALL_ID))).calls
        except EndpointError as error:
            raise UnsupportedError(f"no call came, and none can be dictated: {error}") from None
    if not calls or not isinstance(calls[0].id, str) or not calls[0].id:
        raise UnsupportedError("no call with an id came")
    return calls[0].id


def _prompt_after(patient: Patient, given: str) -> str:
    """The text of the prompt of a history with this id."""
    tokenizer = patient.source.tokenizer if patient.source else None
    if tokenizer is None:
        raise UnsupportedError(
            f"a call came under the id {quoted(given, 80)!r}; no --source reads the next prompt's ids"
        )
    request = Request.of(after_a_call(None, SPACED, given), [WEATHER])
    found = patient.prompt_ids(request)
    if found.ids is None:
        raise UnsupportedError(f"a call came under the id {quoted(given, 80)!r}, and {found.how}")
    return tokenizer.decode(list(found.ids))


IDS = Experiment(
    name="ids of calls",
    asks="a call, and its id handed back",
    names=(NAME,),
    requests=4,
    run=_run,
)
