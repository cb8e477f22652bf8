"""A request and its answer under the catalogue, as a record or a log has them: read one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from k2lab.chat import Request
from k2lab.check.answers import of_answer
from k2lab.check.outputs import Tools
from k2lab.check.requests import as_sent, of_request
from k2lab.check.streams import of_stream
from k2lab.families import Family
from k2lab.findings import Finding


def of_pair(
    asked: Mapping[str, object] | None,
    answer: Callable[[], object] | None,
    *,
    sent: Callable[[], object] | None = None,
    streamed: bool = False,
    model: str | None = None,
    tools: Tools | None = None,
    family: Family | None = None,
    stored: bool | None = None,
) -> Iterator[Finding]:
    """Findings of a request and then of its answer beside it; either may not be known.

    ``answer`` gives the response, or with ``streamed`` the text of its stream;
    ``sent`` the request that the server got, where that is another one. Both are
    asked once the request's own findings are told, so that these stand whatever is
    wrong there. ``model`` and ``stored`` are as for :func:`of_request` and :func:`of_answer`.

    >>> said = {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": ""}}]}
    >>> [one.code for one in of_pair({"messages": [{"role": "user", "content": ""}]}, lambda: said)]
    ['A111']
    """
    request = None
    if asked is not None:
        value = as_sent(asked)
        request = Request.unchecked(value)
        yield from of_request(value, request, model, family)
    if answer is None:
        return
    got = sent() if sent is not None else None
    if isinstance(got, Mapping):
        request = Request.unchecked(as_sent(got))
    if streamed:
        found = of_stream(str(answer()), request, tools, lambda said: family, stored)
        yield from (finding for finding, _ in found)
    else:
        yield from of_answer(answer(), request, tools, family, stored)
