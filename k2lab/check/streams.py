"""A streamed answer under the catalogue: what its events have wrong, then the answer that is put together of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from k2lab.apis import AsChat
from k2lab.chat import Request
from k2lab.check.captures import of_capture
from k2lab.check.otherapis import of_any_answer
from k2lab.check.outputs import Tools
from k2lab.errors import InputError
from k2lab.families import Family
from k2lab.findings import Finding


def of_stream(
    text: str,
    request: Request | None,
    tools: Tools | None,
    family_of: Callable[[object], Family | None],
    stored: bool | None = None,
    *,
    asked: AsChat | None = None,
) -> Iterator[tuple[Finding, int | None]]:
    """Each finding with the line of its event; ``None`` for what the answer as a whole has wrong.

    ``family_of`` says whose answer it is, of the answer. A stream without an end
    lacks its ``finish_reason`` for that alone, which is said once. ``asked`` is what
    was made of a request of another API. Raises :class:`InputError` where no event
    is in it.
    """
    capture = of_capture(text)
    yield from capture.found
    if capture.response is None:
        if not capture.found:
            raise InputError("no event of a stream is in it")
        return
    ended = all(finding.name != "stream_without_an_end" for finding, _ in capture.found)
    family = family_of(capture.response)
    for finding in of_any_answer(capture.response, asked, request, tools, family, stored):
        if ended or finding.name != "no_finish_reason":
            yield finding, None
