"""What is examined: a server that is asked within a budget, and the source whose prompts it should make."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from k2lab import families
from k2lab.chat import Answer, Request
from k2lab.doctor.budget import Budget
from k2lab.doctor.goldencounts import ASK, WEATHER
from k2lab.errors import EndpointError, UnsupportedError
from k2lab.families import Family
from k2lab.prompt.source import Source
from k2lab.server.endpoint import Endpoint, PromptIds
from k2lab.server.transport import StatusError

MAX_TOKENS = 96
"""Of an answer: a call of the tools that are offered takes thirty."""

THINKING_TOKENS = 1024
"""Where the model thinks first."""

ASKED = Request.of([{"role": "user", "content": ASK}], [WEATHER])
"""What every model answers with a call."""

Result = TypeVar("Result")


class Careful(Endpoint):
    """An endpoint that asks within a budget, and asks for the prompt of a request once."""

    def __init__(self, base_url: str, model: str | None, budget: Budget) -> None:
        super().__init__(base_url, model, before=self._spend)
        self._budget = budget
        self._prompts: dict[str, PromptIds] = {}

    def prompt_ids(self, request: Request, *, family: Family | None = None, **params: object) -> PromptIds:
        """As of every endpoint; once for equal requests."""
        key = json.dumps([request.to_json(), family and family.name, params])
        if key not in self._prompts:
            self._prompts[key] = super().prompt_ids(request, family=family, **params)
        return self._prompts[key]

    def _spend(self) -> None:
        self._budget.spend()
        self.timeout_s = self._budget.request_s


@dataclass(frozen=True)
class Patient:
    """A server under examination. What is learned of it is kept for the experiments after it."""

    endpoint: Careful
    source: Source | None
    budget: Budget
    named: Family | None = None

    @cached_property
    def family(self) -> Family | None:
        """Whose prompts it should make: as was said, of the source, else by the model's name."""
        if self.named is not None:
            return self.named
        if self.source is not None:
            return self.source.family or families.of_template(self.source.chat_templates.usual.text)
        return families.of_model(self.endpoint.model)

    @cached_property
    def thinks(self) -> bool:
        """Whether its family reasons before it answers."""
        return bool(self.family and self.family.reads_reasoning)

    @cached_property
    def called(self) -> Answer:
        """The answer to an ask that should be a call, as every client sends it."""
        return self.chat(ASKED)

    def chat(self, request: Request, **params: object) -> Answer:
        """A short answer at temperature 0."""
        most = THINKING_TOKENS if self.thinks else MAX_TOKENS
        return self.asked(lambda: self.endpoint.chat(request, **{"temperature": 0, "max_tokens": most, **params}))

    def prompt_tokens(self, request: Request, **params: object) -> int:
        """How long the server's prompt is, as it bills it; raises :class:`UnsupportedError` where it does not say."""
        return counted("prompt_tokens", self.chat(request, **{**params, "max_tokens": 1}).usage)

    def prompt_ids(self, request: Request) -> PromptIds:
        """The ids of the server's own prompt, or why they cannot be known."""
        return self.asked(lambda: self.endpoint.prompt_ids(request, family=self.family))

    def asked(self, ask: Callable[[], Result]) -> Result:
        """What a request gives; the budget hears of one that has no answer."""
        started = time.monotonic()
        try:
            return ask()
        except (StatusError, UnsupportedError):
            raise
        except EndpointError as error:
            self.budget.failed(error, time.monotonic() - started)
            raise


def counted(name: str, usage: Mapping[str, object]) -> int:
    """A count of an answer's usage; raises :class:`UnsupportedError` where there is none."""
    count = usage.get(name)
    if type(count) is not int:
        raise UnsupportedError(f"the server does not say how many tokens a prompt has (usage.{name})")
    return count
