"""``k2lab record``: what stands in a record is listed, printed and exported; what cannot be is said in one line."""

import json

import pytest
from click.testing import CliRunner

from k2lab.check import look_at
from k2lab.cli.app import root
from k2lab.traffic import recordfile
from k2lab.traffic.looking import of_passed
from k2lab.traffic.recordrows import Entry
from tests.unit.traffic.test_recorder import ASKED, EMPTY, GOOD, passed

STREAM = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
def path(tmp_path):
    many = [
        passed("1", GOOD, started_at=1e9),
        passed("2\x1b[2J", EMPTY, started_at=1e9 + 60),
        passed("3", STREAM, started_at=1e9 + 120, answer_type="text/event-stream"),
        passed("4", b"{}", started_at=1e9 + 180, method="GET", path="/v1/models", request=b""),
        passed("5", b'{"choi', started_at=1e9 + 240, ended="client_left"),
    ]
    with recordfile.writing(tmp_path / "t.db") as file:
        for one in many:
            looked, found = of_passed(one)
            file.add([Entry(passed=one, looked=looked, findings=found)], {})
    return tmp_path / "t.db"


def said(*words):
    done = CliRunner().invoke(root, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr + str(done.exception or "")


def test_exchanges_are_listed_with_what_was_found(path):
    code, out, err = said("record", "show", path)
    lines = out.splitlines()
    assert code == 0 and len(lines) == 5 and lines[0].endswith("POST /v1/chat/completions 200  clean")
    assert lines[0].startswith("2001-09-09T01:46:40.000Z 1 ") and "A111" in lines[1] and "\x1b" not in out
    assert "S001" in lines[2] and lines[3].endswith("not read") and "client_left" in lines[4]
    assert err.startswith("k2lab: 5 exchanges; A111 1, S001 1; 2 of a form that is not read")
    assert len(said("record", "show", path, "--code", "A111")[1].splitlines()) == 1
    assert len(said("record", "show", path, "--since", "2001-09-09T01:48", "--limit", "2")[1].splitlines()) == 2
    told = json.loads(said("record", "show", path, "--json")[1])
    assert told["counts"] == {"exchanges": 5, "A111": 1, "S001": 1} and len(told["exchanges"]) == 5


def test_one_exchange_is_printed_in_full(path):
    told = json.loads(said("record", "show", path, "--key", "1")[1])
    assert told["request"].encode() == ASKED and told["answer"].encode() == GOOD and told["sent"] is None
    assert "no exchange '9'" in said("record", "show", path, "--key", "9")[2]


def test_lines_that_are_exported_are_what_check_reads(path, tmp_path):
    code, _, err = said("record", "export", path, "-o", tmp_path / "lines.jsonl")
    assert code == 0 and "3 lines; left out, since they are no whole chat completions: 2" in err
    looked = look_at(str(tmp_path / "lines.jsonl"))
    assert not looked.unread and "A111" in {one.finding.code for one in looked.present}
    lines = [json.loads(line) for line in said("record", "export", path)[1].splitlines()]
    assert lines[2]["response"]["choices"][0]["message"]["content"] == "Hi"


def test_what_nobody_looked_at_is_looked_at_later(tmp_path):
    path = tmp_path / "late.db"
    made = [passed("1", GOOD), passed("2", EMPTY), passed("3", EMPTY), passed("4", b"{"), passed("5", EMPTY)]
    with recordfile.writing(path) as record:
        record.add(
            [Entry(passed=one, looked=how) for one, how in zip(made, ["no", "no", "late", "no", "yes"], strict=True)],
            {},
        )
    assert "looked at 3 exchanges, 2 with a finding; 1 cannot be read" in said("record", "look", path)[1]
    with recordfile.reading(path) as record:
        found = [(one.looked, [noted.code for noted in one.findings]) for one in record.exchanges()]
    assert found == [("yes", []), ("yes", ["A111"]), ("yes", ["A111"]), ("cannot", []), ("yes", [])]
    assert "looked at 0 exchanges" in said("record", "look", path)[1]


def test_what_is_not_looked_at_in_full_is_said(tmp_path):
    path = tmp_path / "apis.db"
    kept = b'{"input": "Hi", "previous_response_id": "resp_1"}'
    with recordfile.writing(path) as record:
        for name, request in (("responses", b'{"input": "Hi"}'), ("responses", kept), ("models", kept)):
            one = passed(name + str(len(request)), GOOD, path=f"/v1/{name}", request=request)
            record.add([Entry(passed=one, looked=of_passed(one)[0])], {})
    out = said("record", "show", path)[1].splitlines()
    assert sorted(line.partition("  ")[2] for line in out) == ["clean", "not looked at in full", "not read"]


def test_check_says_how_a_record_is_looked_at(path):
    code, _, err = said("check", path)
    assert code == 2 and f"{path} is a record of traffic: k2lab record show" in err


def test_a_folder_of_parquet_is_told_how_to_read(path):
    path.rename(path.with_name("journal.db"))
    assert f"what is in none of them yet is in {path.parent}/journal.db" in said("record", "show", path.parent)[2]
    assert "is a folder" in said("record", "export", path.parent)[2]


def test_what_is_no_time_is_said(path):
    assert "'noon' is no time" in said("record", "show", path, "--since", "noon")[2]


@pytest.mark.parametrize(
    ("words", "said_"),
    [
        (["--no-look"], "--no-look belongs to --record"),
        (["--record-form", "parquet"], "--record-form belongs to --record"),
        (["--redact", "mails"], "--redact belongs to --record"),
        (["--record", "here", "--redact-pattern", "x"], "'x' is no rule"),
        (["--record", "/dev/null/x"], "cannot write /dev/null/x"),
    ],
)
def test_an_option_of_the_proxy_that_cannot_be_is_said_before_it_listens(words, said_):
    code, _, err = said("proxy", "--upstream", "http://127.0.0.1:1/v1", "--listen", "127.0.0.1:0", *words)
    assert code == 1 and said_ in err and "\n" not in err.strip()
