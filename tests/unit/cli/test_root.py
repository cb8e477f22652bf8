"""The root of the command line: its list of commands, its start, the library's log."""

import json
import logging
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from k2lab.cli import root
from k2lab.cli.commands import COMMANDS
from k2lab.cli.common import print_json
from k2lab.cli.printing import UNSAFE, safe, shown_log

WIDEST_HELP = 62
"""What fits beside the longest name into a terminal of 80 columns."""


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_of_the_list_is_there_under_its_name(name):
    command = root.get_command(click.Context(root), name)
    assert command is not None and command.name == name and command.help
    assert len(COMMANDS[name][1]) <= WIDEST_HELP and COMMANDS[name][1].endswith(".")


def test_every_command_of_the_modules_is_in_the_list():
    listed = {place for place, _ in COMMANDS.values()}
    for module in {place.partition(":")[0] for place in listed}:
        loaded = __import__(f"k2lab.cli.{module}", fromlist=["x"])
        commands = {name for name, value in vars(loaded).items() if isinstance(value, click.Command)}
        members = {
            name
            for name, value in vars(loaded).items()
            for group in vars(loaded).values()
            if isinstance(group, click.Group) and value in group.commands.values()
        }
        assert {f"{module}:{name}" for name in commands - members} <= listed


def test_help_loads_no_command_and_parse_loads_no_other():
    code = (
        "import sys; from k2lab.cli import main\ntry: main()\nexcept SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    for words, loaded in ((["--help"], set()), (["parse"], {"k2lab.cli.outputs"})):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], input="x", capture_output=True, text=True, check=True
        )
        modules = set(done.stderr.split())
        assert {f"k2lab.cli.{place.partition(':')[0]}" for place, _ in COMMANDS.values()} & modules == loaded
        assert not {"k2lab.engine", "psutil", "filelock", "importlib.metadata", "rich", "httpx2"} & modules


@pytest.mark.parametrize(
    ("words", "shown"),
    [([], ["note", "k2lab: trouble"]), (["-q"], ["k2lab: trouble"]), (["--quiet"], ["k2lab: trouble"])],
)
def test_what_the_library_logs_is_shown_on_standard_error(words, shown, monkeypatch):
    def write(variant):
        for level, text in ((logging.DEBUG, "detail"), (logging.INFO, "note"), (logging.WARNING, "trouble")):
            logging.getLogger("k2lab.nano.folders").log(level, text)
        return "/there"

    monkeypatch.setattr("k2lab.nano.folders.assemble", write)
    done = CliRunner().invoke(root, [*words, "model", "current"])
    assert done.stderr.splitlines() == shown and done.stdout == "/there\n"
    detailed = CliRunner().invoke(root, ["-v", "model", "current"]).stderr
    assert "k2lab.nano.folders: detail" in detailed and detailed.count("trouble") == 1


def test_quiet_and_verbose_exclude_each_other():
    done = CliRunner().invoke(root, ["-q", "-v", "model", "current"])
    assert done.exit_code == 2 and "choose one" in done.stderr


def test_a_log_message_of_a_server_moves_no_cursor(capsys):
    with shown_log(logging.INFO):
        logging.getLogger("k2lab.engine").info("two\nlines\x1b[2J\x9b2J")
    logging.getLogger("k2lab.engine").info("not this one")
    assert capsys.readouterr().err == "two\nlines?[2J?2J\n"


@given(st.text() | st.characters(codec="latin-1").map(lambda char: char * 3))
def test_no_text_has_what_moves_a_cursor_and_letters_stay(text):
    assert not UNSAFE.search(safe(text))
    assert UNSAFE.search(text) or safe(text) == text


@pytest.mark.parametrize("text", ["\x9b2J", "\x7f", "\u202egnp.exe", "\ud800", "中文\n\t\x1b[2J"])
def test_json_escapes_what_moves_a_cursor_and_says_the_same(text, capsys):
    print_json({"text": [text]})
    out = capsys.readouterr().out
    assert json.loads(out) == {"text": [text]} and not UNSAFE.search(out.replace("\n", ""))
