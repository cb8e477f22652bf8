"""How a grammar is made, beside what the request says: for which server, how many calls, how long a string."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from k2lab import families
from k2lab.enforcer.schema import LONGEST_STRING
from k2lab.errors import InputError

Form = Literal["vllm", "vllm-0.11", "sglang", "tensorrt-llm"]
"""The server that takes the grammar, by the form in which it does: see :mod:`k2lab.enforcer.carriers`."""

FORMS: tuple[Form, ...] = get_args(Form)

Thinking = Literal["no", "may", "begun"]
"""Whether an answer holds reasoning that the grammar is to leave free: none, perhaps (``<think>`` is the model's, as
with Kimi-K2-Thinking), or from its first token on (``<think>`` ends the prompt, as with K2.5 and later, or
``<|open|>think<|sep|>``, as with K3)."""

THINKING: tuple[Thinking, ...] = get_args(Thinking)

MAX_CALLS = 8
"""Calls that one answer may make; the grammar ends there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How an answer is held to its request.

    ``form`` is the server's. ``family`` is that of the model, by its name or the
    model's: K3 writes its calls otherwise than the others do. ``max_calls`` bounds the calls of one answer.
    ``max_string`` bounds the characters of strings, and with it the size of
    numbers, that a schema leaves unbounded: a model that is made to fill one in
    which it has nothing to say may write on until it is cut off.

    ``thinking`` tells where reasoning stands, in which anything may be written
    but a marker: nothing would hold a call that is begun there. With ``may`` the
    text of an answer cannot hold ``<think>`` for the same reason. A vLLM that runs
    with a reasoning parser begins the grammar behind the reasoning by itself,
    wants ``no``, and holds nothing where the reasoning never ends, unless it was
    told ``enable_in_reasoning``.

    ``loosen`` goes on where the grammar cannot hold a part of a schema.
    ``first_index`` is the index of the next call; ``None`` counts the calls of
    the request, and with K3 begins at 1 in each message. Raises :class:`InputError` for a value that cannot be used.

    >>> Options(form="sglang", max_calls=2).to_json()["max_calls"]
    2
    """

    form: Form = "vllm"
    family: str = families.K2.name
    max_calls: int = MAX_CALLS
    max_string: int | None = None
    thinking: Thinking = "no"
    loosen: bool = False
    first_index: int | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("form", self.form, FORMS), ("thinking", self.thinking, THINKING)):
            if value not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        families.named(self.family)
        if self.max_calls < 1:
            raise InputError(f"max_calls must not be below 1: {self.max_calls}")
        if self.first_index is not None and self.first_index < 0:
            raise InputError(f"first_index must not be below 0: {self.first_index}")
        if self.max_string is not None and not 0 < self.max_string <= LONGEST_STRING:
            raise InputError(
                f"max_string must be from 1 to {LONGEST_STRING}, what the grammar can count: {self.max_string}"
            )

    def to_json(self) -> Mapping[str, object]:
        """The options that shape a grammar, by name; ``first_index`` and ``family`` only where they were set."""
        unset = {"first_index": None, "family": families.K2.name}
        return {key: value for key, value in asdict(self).items() if key not in unset or value != unset[key]}
