"""Which forms of records there are, and which of them a record is of."""

from __future__ import annotations

from collections.abc import Mapping

from k2lab.audit.forms import batches, langfuse, litellm, otel, plainjson
from k2lab.audit.forms.base import LineForm
from k2lab.errors import InputError

FORMS: tuple[LineForm, ...] = (
    plainjson.K2VV, otel.OTEL, litellm.LITELLM, batches.BATCH, langfuse.LANGFUSE, plainjson.PLAIN,
)  # fmt: skip
"""In the order in which a record is tried: what says most of itself comes first."""

BENCHMARK, TRAFFIC = "benchmark", "traffic"
"""Files of k2lab itself, which are no records of JSON."""

NAMES: Mapping[str, str] = {
    **{form.name: form.words for form in FORMS},
    BENCHMARK: "a benchmark file of k2lab",
    TRAFFIC: "a record of traffic of k2lab proxy",
}
"""Name -> what it is, in words."""


def form_named(name: str) -> LineForm:
    """A form by its name; raises :class:`InputError` with those there are."""
    for form in FORMS:
        if form.name == name:
            return form
    raise InputError(f"there is no form {name!r} of records: it is one of {', '.join(form.name for form in FORMS)}")


def form_of(value: object) -> LineForm | None:
    """The form of a decoded record; ``None`` for one of none."""
    if not isinstance(value, Mapping):
        return None
    return next((form for form in FORMS if form.takes(value)), None)
