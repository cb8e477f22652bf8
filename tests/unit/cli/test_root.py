"""The root of the command line: its list of commands, its start, the library's log."""

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from k2lab.cli import main, root
from k2lab.cli.commands import COMMANDS
from k2lab.cli.printing import note, print_json, print_path, print_text, shown_log
from k2lab.legible import HIDDEN

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
        logging.getLogger("a.library").warning("theirs\x1b[2J")
    logging.getLogger("k2lab.engine").info("not this one")
    assert capsys.readouterr().err == "two\nlines\\x1b[2J\\x9b2J\nk2lab: theirs\\x1b[2J\n"


@pytest.mark.parametrize(
    "text", ["\x9b2J", "\x7f", "\U000e0041", "a\u200bb", "\u202egnp.exe", "\ud800", "中文\n\t\x1b[2J"]
)
def test_json_escapes_what_moves_a_cursor_and_says_the_same(text, capsys):
    print_json({"text": [text]})
    out = capsys.readouterr().out
    assert json.loads(out) == {"text": [text]} and not HIDDEN.search(out)


ODD = "≠ \u202e 中 \x1b[2J \ud800 \U0001f600"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_what_an_output_has_no_bytes_for_is_written_out(encoding, monkeypatch):
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    print_json([ODD])
    note(ODD)
    print_text(ODD)
    said, aside = (stream.buffer.getvalue().decode(encoding) for stream in (out, err))
    made, end = json.JSONDecoder().raw_decode(said)
    assert made == [ODD] and ("≠" in said[end:]) == ("≠" in aside) == (encoding == "utf-8")
    for text in (said, aside):
        assert not HIDDEN.search(text) and ("\\u2260" in text) == (encoding != "utf-8")


def test_a_path_is_exact_for_a_pipe_and_legible_at_a_terminal(monkeypatch, capfdbinary):
    path = Path(os.fsdecode(b"a\x1b[2J\xff"))
    print_path(path)
    assert capfdbinary.readouterr().out == b"a\x1b[2J\xff\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    print_path(path)
    assert capfdbinary.readouterr().out == b"a\\x1b[2J\\udcff\n"


@pytest.mark.parametrize(
    "words", [("\x1b[2J",), ("bench", "\u202ey"), ("parse", "--no\x1bsuch"), ("repair", "a\x1b[2J" * 9999)]
)
def test_words_that_are_no_command_are_shown_without_what_moves_a_cursor(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["k2lab", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    err = capsys.readouterr().err
    assert ended.value.code in (1, 2) and not HIDDEN.search(err) and max(map(len, err.splitlines())) < 2100
    assert "\\x1b" in err or "\\u202e" in err


def test_a_bug_keeps_its_traceback_and_says_where_it_goes(monkeypatch, capsys):
    def fail(variant):
        raise ZeroDivisionError(f"{variant}\x1b[2J")

    monkeypatch.setattr("k2lab.nano.folders.assemble", fail)
    monkeypatch.setattr(sys, "argv", ["k2lab", "model", "current"])
    with pytest.raises(SystemExit) as ended:
        main()
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and lines[0].startswith("Traceback") and "report it" in lines[-1]
    assert lines[-2] == "ZeroDivisionError: current\\x1b[2J"
