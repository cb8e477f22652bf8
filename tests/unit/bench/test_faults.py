"""A benchmark file on a disk that is full or may not be written: a line on what is wrong, and nothing lost."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest

from k2lab import sqlitefile
from k2lab.bench import store
from k2lab.errors import InputError
from tests.conftest import ROOT
from tests.fuzz import _material

ALONE = ("unshare", "--user", "--map-root-user", "--mount")
"""A process whose mounts nobody else sees; not every system lets a user have one."""

COMMANDS = (
    "import SMALL --arm a",
    "summary",
    "import LARGE --arm b",
    "summary",
    "FILL",
    "summary",
    "import SMALL --arm c",
    "READ-ONLY",
    "summary",
    "import SMALL --arm d",
)

SCRIPT = """
import os, subprocess, sys
from tests.fuzz._commands import run
folder, small, large, *commands = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], check=True)
for command in commands:
    if command == "FILL":
        with open(f"{folder}/rest", "wb", buffering=0) as rest:
            try:
                while rest.write(bytes(512)):
                    pass
            except OSError:
                pass
    elif command == "READ-ONLY":
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    else:
        name, *words = command.replace("SMALL", small).replace("LARGE", large).split()
        ran = run("bench", name, f"{folder}/run.db", *words).checked()
        print(command, ran.code, (ran.err or ran.out).strip().replace("\\n", "/"), sep="|")
"""


@pytest.fixture
def said(tmp_path):
    """What each command says on a small disk that fills up and is then read-only."""
    if subprocess.run([*ALONE, "true"], capture_output=True).returncode:
        pytest.skip("no mounts of one's own here")
    for name, count in (("small", 20), ("large", 900)):
        (tmp_path / name).write_text("".join(json.dumps(one) + "\n" for one in _material.results(count)))
    (tmp_path / "disk").mkdir()
    words = [str(tmp_path / name) for name in ("disk", "small", "large")]
    done = subprocess.run(
        [*ALONE, sys.executable, "-c", SCRIPT, *words, *COMMANDS],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line.split("|") for line in done.stdout.splitlines()]


@pytest.mark.long
def test_a_full_disk_and_a_read_only_one_are_called_so_and_what_is_stored_can_be_read_there(said):
    full, told = "its disk is full; what was stored stays", [text for _, _, text in said]
    assert [code for _, code, _ in said] == ["0", "0", "1", "0", "0", "1", "0", "1"]
    assert full in told[2] and (full in told[5] or "No space left" in told[5]) and "Read-only" in told[7]
    assert len({told[1], told[3], told[4], told[6]}) == 1 and "20" in told[1]


def test_a_file_that_somebody_else_holds_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("k2lab.sqlitefile.WAIT_S", 0.05)
    with store.writing(tmp_path / "run.db"):
        pass
    holder = sqlite3.connect(tmp_path / "run.db")
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with (
        pytest.raises(InputError, match=r"another process holds it[^\n]*run this again$"),
        store.reading(tmp_path / "run.db"),
    ):
        pass
    holder.close()


def test_a_mistake_of_k2labs_own_is_not_called_a_fault_of_the_file(tmp_path):
    with pytest.raises(sqlite3.ProgrammingError), sqlitefile.told(tmp_path, "benchmark file"):
        sqlite3.connect(":memory:").execute("SELECT ?", ())
