"""A request and its answer under the catalogue, as a record or a log has them: read one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from k2lab.apis import Api, AsChat, api_of_request, request_as_chat
from k2lab.chat import Request
from k2lab.check.otherapis import UnseenError, at_origin, of_any_answer, of_other_request, unseen_of
from k2lab.check.outputs import Tools
from k2lab.check.prompts import of_prompt
from k2lab.check.requests import as_sent, of_request
from k2lab.check.streams import of_stream
from k2lab.families import Family
from k2lab.findings import Finding
from k2lab.prompt.source import Source


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadRequest:
    """A request as it is looked at: as one of the chat API, and what was ``made`` of it where it is of another."""

    api: Api
    value: Mapping[str, object]
    request: Request
    made: AsChat | None = None

    @classmethod
    def of(cls, request: Mapping[str, object], api: Api | None = None) -> ReadRequest:
        """A request's fields; without ``api`` their form says of which API they are."""
        value = as_sent(request)
        api = api or api_of_request(value) or "chat"
        if api == "chat":
            return cls(api=api, value=value, request=Request.unchecked(value))
        made = request_as_chat(api, value)
        return cls(api=api, value=made.value, request=Request.unchecked(made.value), made=made)

    def findings(self, model: str | None, family: Family | None) -> Iterator[Finding]:
        """Its findings; places begin with ``request``."""
        if self.made is None:
            return of_request(self.value, self.request, model, family)
        return of_other_request(self.api, self.made, self.request, model, family)

    def rendered(self, source: Source, family: Family | None) -> Iterator[Finding]:
        """What a rendering decides."""
        for finding in of_prompt(self.request, source, family) if self.request.messages else ():
            yield finding if self.made is None else at_origin(finding, self.made, "request", self.api)


def of_pair(
    asked: Mapping[str, object] | None,
    answer: Callable[[], object] | None,
    *,
    api: Api | None = None,
    sent: Callable[[], object] | None = None,
    streamed: bool = False,
    model: str | None = None,
    tools: Tools | None = None,
    family: Family | None = None,
    stored: bool | None = None,
    source: Source | None = None,
) -> Iterator[Finding]:
    """Findings of a request and then of its answer beside it; either may not be known.

    ``answer`` gives the response, or with ``streamed`` the text of its stream;
    ``sent`` the request that the server got, where that is another one. Both are
    asked once the request's own findings are told, so that these stand whatever is
    wrong there. ``api`` is that of the request, by default the one of its form.
    ``source`` renders it. ``model`` and ``stored`` are as for :func:`of_request` and :func:`of_answer`.
    Raises :class:`~k2lab.check.otherapis.UnseenError` behind the last finding
    where the chat API has no word for a part.

    >>> said = {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": ""}}]}
    >>> [one.code for one in of_pair({"messages": [{"role": "user", "content": ""}]}, lambda: said)]
    ['A111']
    """
    held = None if asked is None else ReadRequest.of(asked, api)
    if held is not None:
        yield from held.findings(model, family)
        if source:
            yield from held.rendered(source, family)
    told = unseen_of("request", None if held is None else held.made)
    if answer is not None:
        got = sent() if sent is not None else None
        if isinstance(got, Mapping):
            held = ReadRequest.of(got, api)
        try:
            yield from _of_answer(answer(), held, tools, family, stored, streamed=streamed)
        except UnseenError as why:
            told += why.told
    if told:
        raise UnseenError(told)


def _of_answer(
    answer: object, asked: ReadRequest | None, tools: Tools | None, family: Family | None, stored: bool | None,
    *, streamed: bool,
) -> Iterator[Finding]:  # fmt: skip
    made, request = (None, None) if asked is None else (asked.made, asked.request)
    if not streamed:
        return of_any_answer(answer, made, request, tools, family, stored)
    found = of_stream(str(answer), request, tools, lambda said: family, stored, asked=made)
    return (finding for finding, _ in found)
