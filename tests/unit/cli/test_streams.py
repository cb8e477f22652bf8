"""Standard input, output and error that are full, closed, or read by nobody: one line and an exit status."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

WAYS = {
    ">/dev/full": (1, "k2lab: cannot write to standard output: no space left on device\n"),
    ">&-": (1, "k2lab: cannot write to standard output: bad file descriptor\n"),
    "2>&-": (0, ""),
    "2>/dev/full": (0, ""),
    "<&- >&- 2>&-": (1, ""),
}


@pytest.mark.parametrize(("way", "expected"), WAYS.items())
def test_an_output_that_takes_nothing_is_one_line_and_an_exit_status(way, expected):
    command = f"set -o pipefail; '{sys.executable}' -m k2lab --help {way}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == expected


def test_a_reader_that_has_gone_ends_a_command_without_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "k2lab", "--help"]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_closed_input_is_one_line():
    command = f"'{sys.executable}' -m k2lab parse <&-"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "k2lab: cannot read standard input: bad file descriptor\n"


def test_what_an_encoding_lacks_is_written_out():
    command = f"echo '中' | PYTHONIOENCODING=latin-1 '{sys.executable}' -m k2lab parse"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "\\u4e2d" in done.stdout
