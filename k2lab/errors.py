"""The errors of k2lab: one small tree, each with cause, value and next step.

A model's failure is data and never raises; these are for misuse and for an
outside world that does not answer. The command line prints them as one line.
"""

from __future__ import annotations


class K2LabError(Exception):
    """Base of everything that k2lab raises on purpose: one line of cause, value and next step.

    >>> try:
    ...     k2lab.load("nowhere.json")
    ... except k2lab.K2LabError as error:
    ...     print(error)
    cannot read conversation nowhere.json: No such file or directory
    """


class InputError(K2LabError):
    """What the caller handed in cannot be used: a file, a parameter, a name."""


class RequestError(InputError):
    """A conversation that is not one: no JSON, a message without a role, a bad tool."""


class SourceError(InputError):
    """A model source that is not there, or whose template is not what was pinned."""


class RenderError(K2LabError):
    """A chat template that raised while it rendered a conversation."""


class EndpointError(K2LabError):
    """A server that does not answer, or answers with an error."""


class UnsupportedError(EndpointError):
    """A server that lacks the feature that was asked for."""


class EngineError(K2LabError):
    """An engine that cannot be installed, started or stopped."""


class ReportError(K2LabError):
    """A notebook that did not run to its end."""


def first_line(error: object, most: int = 300) -> str:
    r"""The first line of an error's text, at most ``most`` characters; its type where it says nothing.

    >>> first_line(ValueError("no such thing\nand more"))
    'no such thing'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]
