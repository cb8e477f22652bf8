"""Whether a request shows a fault: by its history and tools alone, or by what a server answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from k2lab import files, mfjs
from k2lab.chat import Exchange, Request, repeated_names
from k2lab.errors import InputError, RequestError
from k2lab.findings import CATALOGUE
from k2lab.findings.exchanges import of_exchange
from k2lab.findings.histories import of_history
from k2lab.server.endpoint import Endpoint
from k2lab.server.transport import StatusError

REFUSED = re.compile(r"HTTP \d{3}")
"""How a server's refusal is named among the faults."""

DEFAULT_TOKENS = 256
"""Tokens of an answer where the request does not say."""


class Spent(Exception):
    """The budget is spent: no more may be asked."""


class Sight(Protocol):
    """A way of looking: the names of all faults that a request shows, with the evidence of each.

    ``certain``: the same request always shows the same. ``model`` says what a
    history needs, by default the request's own. ``asked`` counts the looks, of
    which ``left`` are left.
    """

    certain: bool
    model: str | None
    asked: int

    @property
    def left(self) -> int:
        """How often it may be looked."""

    def faults(self, data: Mapping[str, Any]) -> Mapping[str, str]:
        """Look once; raises :class:`Spent` where no more may be asked."""


@dataclass
class Offline:
    """Looks at the history and the tools, as ``k2lab check`` does; with ``answer`` at that of the file, too.

    At most ``most`` looks are taken.
    """

    model: str | None = None
    answer: Mapping[str, Any] | None = None
    most: int = 20_000
    asked: int = 0
    certain = True

    @property
    def left(self) -> int:
        """How often it may be looked."""
        return self.most - self.asked

    def faults(self, data: Mapping[str, Any]) -> Mapping[str, str]:
        """What is found in the request, and of its answer where there is one."""
        request = _request(data)
        if request is None:
            return {}
        _spend(self)
        found = [*of_history(request, model=self.model), *self._of_answer(data)]
        told = {finding.name: finding.evidence for finding in found if finding.state == "present"}
        return told | _of_tools(request)

    def _of_answer(self, data: Mapping[str, Any]) -> Iterator[Any]:
        if self.answer is not None:
            yield from of_exchange(Exchange.of(data, self.answer))


@dataclass
class Live:
    """Sends the request and looks at the answer; a refusal is the fault ``HTTP 400``, and the like.

    At most ``budget`` requests are sent, greedy where the request does not say.
    """

    endpoint: Endpoint
    budget: int = 300
    model: str | None = None
    asked: int = 0
    certain = False

    @property
    def left(self) -> int:
        """How often it may be asked."""
        return self.budget - self.asked

    def faults(self, data: Mapping[str, Any]) -> Mapping[str, str]:
        """What is found in the answer to one sending; raises :class:`~k2lab.errors.EndpointError` without an answer."""
        request = _request(data)
        if request is None:
            return {}
        _spend(self)
        defaults: dict[str, object] = {"temperature": 0, "max_tokens": DEFAULT_TOKENS}
        if {"max_tokens", "max_completion_tokens"} & request.parameters.keys():
            del defaults["max_tokens"]
        params = {name: value for name, value in defaults.items() if name not in request.parameters}
        try:
            answer = self.endpoint.chat(request, **params)
        except StatusError as error:
            return {f"HTTP {error.status}": _alike(str(error))}
        found = of_exchange(Exchange(request=request, answer=answer))
        return {finding.name: finding.evidence for finding in found if finding.state == "present"}


def given(path: Path) -> tuple[Request, Mapping[str, Any] | None]:
    """The request of a file, and its answer where the file has one; raises :class:`~k2lab.errors.RequestError`."""
    from k2lab.chat.files import request_of

    data = files.read_json(path, "conversation", error=RequestError)
    inner = data.get("request") if isinstance(data, Mapping) and "messages" not in data else None
    answer = data.get("response") if isinstance(data, Mapping) and isinstance(inner, Mapping) else None
    try:
        request = request_of(inner if isinstance(inner, Mapping) else data)
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from None
    return request, answer if isinstance(answer, Mapping) else None


def wanted_fault(faults: Mapping[str, str], code: str | None) -> str:
    """The fault to keep: the one that is named, by code or name, else the gravest that shows.

    Raises :class:`~k2lab.errors.InputError` where it does not show, with those that do.
    """
    from k2lab.findings import entry_of

    name = code if code is None or REFUSED.fullmatch(code) else entry_of(code).name
    shown = ", ".join(f"{_code(one)} {one}" for one in faults) or "none"
    if name is not None and name not in faults:
        raise InputError(f"{name} does not show here, and nothing can be left out of what does not; shown: {shown}")
    if not faults:
        raise InputError("no fault shows here: ask the server where it went wrong (--base-url), or see k2lab check")
    return name or min(faults, key=lambda one: (_level(one) != "error", list(faults).index(one)))


def slips(data: Mapping[str, Any], into: frozenset[str], model: str | None) -> bool:
    """Whether a candidate is another case than the one that was given.

    It is where its history has a fault that the given one has not (``into``
    holds those): a fault of its own would be taken for the one looked for.
    """
    return not history_faults(data, model) <= into


def history_faults(data: Mapping[str, Any], model: str | None) -> frozenset[str]:
    """Names of the graver faults of a request's history; of what is no request, ``not_a_request``."""
    request = _request(data)
    if request is None:
        return frozenset({"not_a_request"})
    return frozenset(finding.name for finding in of_history(request, model=model) if finding.level == "error")


def same_fault(wanted: str, evidence: str, faults: Mapping[str, str]) -> bool:
    """Whether the fault shows; a refusal is the same one where its words are."""
    return wanted in faults and (not REFUSED.fullmatch(wanted) or faults[wanted] == evidence)


def _spend(sight: Sight) -> None:
    if sight.left < 1:
        raise Spent
    sight.asked += 1


def _request(data: Mapping[str, Any]) -> Request | None:
    """A candidate as a request; ``None`` where it is none."""
    from k2lab.chat.files import request_of

    try:
        return request_of(data)
    except RequestError:
        return None


def _of_tools(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    refused = mfjs.refusals_of_tools(request.tools)
    if refused:
        found["refused_by_moonshot"] = str(refused[0])
    twice = repeated_names(request.tools)
    return found | ({"repeated_tool_name": ", ".join(twice)} if twice else {})


def _alike(words: str) -> str:
    """A refusal without what differs from one request to the next: numbers, quotations, ids."""
    return re.sub(r"\d+|'[^']*'|\"[^\"]*\"", "_", words)[:200]


def _code(name: str) -> str:
    return CATALOGUE[name].code if name in CATALOGUE else ""


def _level(name: str) -> str:
    return CATALOGUE[name].level if name in CATALOGUE else "error"
