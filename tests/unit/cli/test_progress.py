"""What a command shows of its progress, to a person at a terminal and to a file."""

import doctest
import io
import os
import re
import subprocess
import sys

import pytest

from k2lab.cli import progress
from tests.conftest import ROOT

RUN = """
from k2lab.cli.progress import show_progress
with show_progress() as tell:
    tell("1 of 2: \\x1b[2J[red]stop", done=1, of=2)
    tell("2 of 2: \\x1b]0;title\\x07[red]stop", done=2, of=2)
"""


def at_a_terminal(code, **env):
    """What a program shows at a terminal of 100 columns."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm", **env}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # Linux's way to say that the other side is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    return shown.decode()


def test_a_terminal_gets_a_bar_and_nothing_of_what_is_told_moves_its_cursor():
    shown = at_a_terminal(RUN)
    assert "━" in shown and "2 of 2: \\x1b]0;title\\x07[red]stop" in shown
    assert "\x07" not in shown and "\x1b[2J" not in shown


def test_a_narrow_terminal_and_one_without_colours_get_what_they_can_show():
    shown = at_a_terminal(RUN, COLUMNS="30", NO_COLOR="1")
    assert "2 of 2" in shown and not re.search("\x1b\\[[0-9;]*3[0-9][0-9;]*m", shown)
    plain = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", shown)
    assert max(map(len, re.split("[\r\n]", plain))) <= 30


def test_elsewhere_there_are_plain_lines_and_the_last_is_among_them():
    done = subprocess.run([sys.executable, "-c", RUN], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "2 of 2: \\x1b]0;title\\x07[red]stop\n" and done.stdout == ""
    assert "━" not in at_a_terminal(RUN, TERM="dumb")


def test_a_line_that_must_be_seen_is_not_left_out_and_an_error_has_the_last_word(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with pytest.raises(ZeroDivisionError), progress.show_progress() as tell:
        tell("first", now=True)
        tell("second")
        raise ZeroDivisionError
    assert sys.stderr.getvalue() == "first\n"


def test_the_examples_run():
    found = doctest.testmod(progress)
    assert found.attempted and not found.failed
