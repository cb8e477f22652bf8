import gzip
import io
import json
import os
import subprocess
import sys

import pyarrow as pa
import pytest

from k2lab.audit import processpool, standardinput
from k2lab.audit.auditrun import run_audit
from k2lab.audit.work import worked
from k2lab.errors import InputError
from tests.conftest import ROOT
from tests.unit.audit.made import line, lines, text, write
from tests.unit.audit.test_running import findings


@pytest.fixture(autouse=True)
def without_processes(monkeypatch):
    def run(units, work, tell, *, workers=None):
        for unit in units:
            tell(unit, worked(work, unit))

    monkeypatch.setattr(processpool, "run_locally", run)


@pytest.fixture
def piped(monkeypatch):
    """Runs an audit with bytes that come by a pipe of the kernel's."""

    def run(data, out, *paths, **options):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            with open(writer, "wb") as pipe:
                pipe.write(data)
            os._exit(0)
        os.close(writer)
        with open(reader, encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            try:
                return run_audit(["-", *paths], out, **options)
            finally:
                stream.close()
                os.waitpid(child, 0)

    return run


def table(folder):
    return findings(folder).drop_columns(["source"]).sort_by([("row", "ascending"), ("code", "ascending")])


def told(folder):
    value = json.loads((folder / "summary.json").read_text())
    text = json.dumps({name: part for name, part in value.items() if name != "sources"})
    return text.replace(f"{folder.parent}/in", "standard input")


ODD = b"\xef\xbb\xbf\n\n" + text(lines(11)).encode() + b'\n{"request": {\n\n' + text(lines(5)).encode().rstrip(b"\n")
CONTENTS = {
    "lines": text(lines(12)).encode(),
    "odd lines": ODD,
    "a list": json.dumps(lines(20), indent=1).encode(),
    "gzip": gzip.compress(text(lines(12)).encode()),
    "gzip cut off": gzip.compress(text(lines(120)).encode())[:2500],
    "zstd": pa.Codec("zstd").compress(text(lines(12)).encode(), asbytes=True),
    "a batch": text(
        {"custom_id": f"c{n}", "response": {"status_code": 200, "body": line(n, "A111")["response"]}} for n in range(9)
    ).encode(),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_comes_by_a_pipe_gives_what_the_file_gives(name, tmp_path, piped, monkeypatch):
    monkeypatch.setattr(standardinput, "READ_BYTES", 1500)
    (tmp_path / "in").write_bytes(CONTENTS[name])
    run_audit([str(tmp_path / "in")], tmp_path / "file")
    for number, size in enumerate((1, 5000)):
        out = tmp_path / f"pipe{number}"
        piped(CONTENTS[name], out, unit_bytes=size)
        assert told(out) == told(tmp_path / "file")
        assert table(out).equals(table(tmp_path / "file"))
        assert set(findings(out)["source"].to_pylist()) == {"standard input"}
        assert {path.name for path in (out / ".k2lab-audit").iterdir()} <= {
            "lock", "manifest.json", "tally.json", "units.json"
        }  # fmt: skip


def test_pieces_begin_with_lines_and_count_those_that_begin_in_them(tmp_path, monkeypatch):
    monkeypatch.setattr(standardinput, "READ_BYTES", 7)
    data = b"a\n" + b"b" * 100 + b"\nc\nd\n\n" + b"e" * 30
    (tmp_path / "stdin").touch()
    with pytest.raises(InputError, match="standard input holds no JSON"):
        standardinput.source_from(io.BytesIO(data), tmp_path, None, None, 20, lambda *_: None)
    assert not list(tmp_path.iterdir())
    standardinput.source_from(io.BytesIO(data), tmp_path, None, "plain", 20, lambda *_: None)
    pieces = json.loads((tmp_path / standardinput.PIECES).read_text())
    assert [(one["row"], one["rows"]) for one in pieces] == [(1, 1), (2, 4), (6, 1)]
    assert pa.CompressedInputStream(pa.OSFile(str(tmp_path / "stdin")), "zstd").read() == data


def test_an_audit_of_a_pipe_goes_on_where_it_was_given_the_same_again(tmp_path, piped, monkeypatch):
    data, run = text(lines(60)).encode(), processpool.run_locally
    piped(data, tmp_path / "whole", unit_bytes=4000)

    def ended(units, work, tell, *, workers=None):
        run(units[:5], work, tell)
        raise KeyboardInterrupt

    done = []

    def noted(units, work, tell, *, workers=None):
        done.extend(unit.number for unit in units)
        run(units, work, tell)

    monkeypatch.setattr(processpool, "run_locally", ended)
    monkeypatch.setattr(standardinput, "READ_BYTES", 1000)
    with pytest.raises(KeyboardInterrupt):
        piped(data, tmp_path / "out", unit_bytes=4000)
    monkeypatch.setattr(processpool, "run_locally", noted)
    with pytest.raises(InputError, match="holds an audit of another standard input"):
        piped(data[:-400], tmp_path / "out", unit_bytes=4000)
    with pytest.raises(InputError, match="holds an audit without"):
        piped(data, tmp_path / "out", str(write(tmp_path / "b.jsonl", lines(1))))
    piped(data, tmp_path / "out", unit_bytes=4000)
    assert done and done[0] == 5
    piped(data, tmp_path / "out")
    assert told(tmp_path / "out") == told(tmp_path / "whole")
    assert table(tmp_path / "out").equals(table(tmp_path / "whole"))


def test_a_pipe_by_a_path_is_told_how_to_be_given(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader, writer = os.pipe()
    os.close(writer)
    summary = run_audit([f"/dev/fd/{reader}", str(tmp_path / "pipe")], tmp_path / "out")
    os.close(reader)
    assert [why.partition(": ")[2] for _, why in summary.refused] == [
        "give it as standard input, which is -", "it is a pipe, not a file: write what comes from it into a file"
    ]  # fmt: skip


def test_a_pipe_stands_beside_files(tmp_path, piped):
    path = write(tmp_path / "more.jsonl", lines(6))
    summary = piped(text(lines(12)).encode(), tmp_path / "out", str(path), "-")
    assert summary.looked == 18
    assert [(one["path"], one["form"]) for one in summary.sources] == [("standard input", "k2vv"), (str(path), "k2vv")]


def test_nothing_to_read_is_one_line_and_no_folder(tmp_path, piped, monkeypatch):
    with pytest.raises(InputError, match="standard input is empty"):
        piped(b"", tmp_path / "out")
    ours, theirs = os.openpty()
    with open(theirs) as terminal, open(ours):
        monkeypatch.setattr(sys, "stdin", terminal)
        with pytest.raises(InputError, match="standard input is a terminal"):
            run_audit(["-"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


SPOOLED = """
import sys
from pathlib import Path
from k2lab.audit import standardinput
state = Path(sys.argv[1])
standardinput.source_from(sys.stdin.buffer, state, None, None, 1 << 22, lambda *_: None)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="a process's own peak is Linux's")
def test_memory_does_not_grow_with_a_pipe(tmp_path):
    path, some = tmp_path / "in.jsonl", text(lines(1000)).encode()

    def peak_mib(times):
        path.write_bytes(some * times)
        with path.open("rb") as file:
            done = subprocess.run([sys.executable, "-c", SPOOLED, tmp_path], cwd=ROOT, stdin=file, check=True,
                                  capture_output=True, text=True)  # fmt: skip
        return int(done.stdout)

    few, many = peak_mib(20), peak_mib(100)
    assert many < few + 10, (few, many)
