"""What a guard is asked to do, and what it takes up at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from k2lab import families
from k2lab.enforcer import FORMS, MAX_CALLS, Form
from k2lab.errors import InputError

Repair = Literal["", "ids", "history"]
Enforce = Literal["off", "pinned"]
Unheld = Literal["pass", "refuse", "loosen"]
Reasoning = Literal["parsed", "plain"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardOptions:
    """What a guard does to requests and answers; by default nothing.

    ``repair`` renumbers the ids of the history, or mends all that
    :func:`k2lab.repair` mends. ``enforce`` of ``pinned`` sends the Enforcer's
    grammar along, in the ``form`` that the upstream takes; what it cannot hold
    goes through (``unheld`` of ``pass``), is refused with 422 (``refuse``), or
    is held but for the parts of schemas that no grammar holds (``loosen``).
    ``reasoning`` says whether the upstream runs a reasoning parser (``parsed``)
    and begins the grammar behind the reasoning, or leaves that in the text
    (``plain``). ``salvage`` makes calls of those that leaked into an answer's
    text. ``family`` is that of the model where its name does not say it.

    ``max_calls`` and ``max_string`` are the Enforcer's. ``most_read`` is the
    largest body in bytes that is read; a larger one passes and says so.
    ``most_held`` is how many characters of a streamed answer are held while it
    may become a call.

    >>> GuardOptions(repair="history", salvage=True).changes
    True
    """

    repair: Repair = ""
    enforce: Enforce = "off"
    salvage: bool = False
    family: str | None = None
    form: Form = "vllm"
    unheld: Unheld = "pass"
    reasoning: Reasoning = "parsed"
    max_calls: int = MAX_CALLS
    max_string: int | None = None
    most_read: int = 32 << 20
    most_held: int = 256 << 10

    def __post_init__(self) -> None:
        for name, value, known in (
            ("repair", self.repair, get_args(Repair)),
            ("enforce", self.enforce, get_args(Enforce)),
            ("form", self.form, FORMS),
            ("unheld", self.unheld, get_args(Unheld)),
            ("reasoning", self.reasoning, get_args(Reasoning)),
        ):
            if value not in known:
                raise InputError(f"{name} must be one of {', '.join(filter(None, known))}, not {value!r}")
        if self.family is not None:
            families.named(self.family)

    @property
    def changes(self) -> bool:
        """Whether anything is done at all."""
        return bool(self.repair or self.salvage) or self.enforce != "off"
