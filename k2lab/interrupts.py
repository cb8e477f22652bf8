"""Signals that end a command: taken from its first moment on, cleaned up after, and said in its exit status."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # the other makes enumerations first: milliseconds in which a signal is a traceback

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
AGAIN_S = 0.02
"""A signal that comes while Python cannot raise, as in a destructor, is raised this much later."""

_came: list[int] = []


class Interrupted(KeyboardInterrupt):
    """The user, or the system, asked this process to end."""


def exit_at_once() -> None:
    """From now on a signal ends this process with a line: nothing is begun yet that would be cleaned up.

    A signal that is ignored stays so: of a job in the background, or under ``nohup``.
    """
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit)


def raise_from_now() -> None:
    """From now on a signal that was taken raises :class:`Interrupted`; nothing where none was, as in a notebook."""
    _came.clear()
    for number in ENDING:
        if signal.getsignal(number) is _exit:
            sys.unraisablehook = _raise_later
            signal.signal(number, _raise)


def came() -> bool:
    """Whether a signal asked this process to end."""
    return bool(_came)


def status() -> int:
    """The exit status of a command that was interrupted: 128 and the signal's number, as a shell has it."""
    return 128 + (_came[0] if _came else signal.SIGINT)


def ignore() -> None:
    """From now on no signal counts: what was asked for is done."""
    _give_back(signal.SIG_IGN)


def leave_to_system() -> None:
    """From now on a signal ends this process as it ends any other: nothing is left to clean up."""
    _give_back(signal.SIG_DFL)


def _give_back(handler: signal.Handlers) -> None:
    for number in ENDING:
        if signal.getsignal(number) in (_raise, _exit):
            signal.signal(number, handler)


def _exit(number: int, frame: object) -> None:
    os.write(2, b"k2lab: interrupted\n")
    os._exit(128 + number)


def _raise(number: int, frame: object) -> None:
    _came.append(number)
    raise Interrupted


def _raise_later(lost: sys.UnraisableHookArgs) -> None:
    """An interrupt that Python could only have printed comes once more; other such errors are printed."""
    if isinstance(lost.exc_value, Interrupted):
        import threading

        again = threading.Timer(AGAIN_S, os.kill, [os.getpid(), _came[-1]])
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)
