"""What the proxy itself answers: an error in the form that clients of these APIs read, with cause and next step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from k2lab.legible import one_line
from k2lab.traffic.exchanges import Ending

CODE_HEADER = "x-k2lab-error"
"""Stands in every answer that is the proxy's own error, and in none that came from the upstream."""

MOST = 500
"""Characters of an error's line."""


class Refused(Exception):
    """A request that is answered by the proxy itself, with a status, a code for programs and a line for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        ended: Ending = "refused",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.ended = status, code, one_line(message, MOST), ended
        self.headers = {**(headers or {}), CODE_HEADER: code}

    def body(self) -> bytes:
        """The error as JSON; its form is OpenAI's, and with its ``type`` Anthropic's too.

        https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors

        >>> Refused(502, "upstream_unreachable", "nobody answers").body()
        b'{"type": "error", "error": {"message": "nobody answers", "type": "k2lab_error", "param": null, "code": "upstream_unreachable"}}'
        """  # noqa: E501
        kind = "invalid_request_error" if self.status < 500 else "k2lab_error"
        error = {"message": self.message, "type": kind, "param": None, "code": self.code}
        return json.dumps({"type": "error", "error": error}).encode()


def reason_of(status: int) -> str:
    """The phrase that stands behind a status; empty for one that has none.

    >>> reason_of(502)
    'Bad Gateway'
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
