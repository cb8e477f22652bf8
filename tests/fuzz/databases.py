"""Benchmark files that are damaged, foreign, cut off, or of another time, over every command that opens one."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz import _damage, _material
from tests.fuzz._commands import Ran, run, written
from tests.fuzz.frame import Attempt
from tests.helpers.stub_server import stub

KEPT = range(150)
COUNT = 40
"""Results in the good file: enough for pages within pages."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """A good file, and a server that answers well."""

    good: Path
    url: str
    summary: str
    """What is said of the good file."""

    def tried(self, random: Random, folder: Path) -> None:
        """One command of all on one damaged file, which is never taken for an empty or a whole one."""
        path = folder / "run.db"
        shutil.copyfile(self.good, path)
        damage = random.choice(sorted(DAMAGES))
        DAMAGES[damage](random, path)
        before = _content(path)
        name = random.choice(sorted(COMMANDS))
        ran = COMMANDS[name](self, random, path).checked()
        list(written(folder))
        if ran.code == 0 and name == "summary as JSON" and damage in OF_BYTES:
            assert [arm["requests"] for arm in json.loads(ran.out)] == [COUNT, COUNT], f"results are missing: {ran.out}"
        if ran.code and before is not None:
            assert ran.err.startswith("k2lab: ") and ran.err.count("\n") == 1, ran
            assert name not in READ_ONLY or _content(path) == before, f"{name} changed a file that it refused"


@contextmanager
def opened(place: Path) -> Iterator[Attempt]:
    """A stand-in for a server, and a file with an imported arm and one that was asked."""
    folder = place / "good"
    folder.mkdir()
    (folder / "results.jsonl").write_bytes(_lines(_material.results(COUNT)))
    (folder / "samples.jsonl").write_bytes(_lines(_material.samples(COUNT)))
    good = folder / "run.db"
    with stub() as server:
        run("bench", "import", "--arm", "theirs", good, folder / "results.jsonl").checked(0)
        run("bench", "run", folder / "samples.jsonl", "--base-url", server.url, "--arm", "a", "--out", good).checked(0)
        summary = run("bench", "summary", "--json", good).checked(0).out
        yield Given(good=good, url=server.url, summary=summary).tried


def _lines(values: list[object]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def _content(path: Path) -> bytes | None:
    """The bytes of a plain file; ``None`` for anything else, and for one of many gigabytes."""
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size < 1 << 30:
            return path.read_bytes()
    return None


def _rewritten(change: Callable[[Random, bytes], bytes]) -> Callable[[Random, Path], None]:
    return lambda random, path: _damage.put(path, change(random, path.read_bytes()))


def _flipped(random: Random, data: bytes) -> bytes:
    """A few bytes within one page, its head most of all."""
    made = bytearray(data)
    page = random.randrange(len(made) // 4096) * 4096
    for _ in range(random.choice((1, 4, 64))):
        made[page + random.randrange(random.choice((16, 120, 4096)))] = random.randrange(256)
    return bytes(made)


def _blanked(random: Random, data: bytes) -> bytes:
    """A page of nothing, or of another page."""
    made = bytearray(data)
    page, other = (random.randrange(len(made) // 4096) * 4096 for _ in range(2))
    made[page : page + 4096] = random.choice((bytes(4096), data[other : other + 4096], random.randbytes(4096)))
    return bytes(made)


def _statements(*statements: str) -> Callable[[Random, Path], None]:
    """What somebody else's SQL made of it, one statement of several."""

    def change(random: Random, path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as file, contextlib.suppress(sqlite3.Error), file:
            file.execute(random.choice(statements))

    return change


VALUES = ("NULL", "''", "'x'", "'[]'", "'{}'", "'null'", "x'ff00'", "-1", "1e300", "9223372036854775807", "'\x1b[2J'",
          "cast(x'ff' as text)", "zeroblob(100)", "'[[[[[[['", "'{\"messages\": 1}'", "'{\"choices\": [[]]}'",
          "'{\"summary\": 1, \"model\": []}'", "'{\"response\": 1, \"tool_calls_valid\": 3}'")  # fmt: skip
COLUMNS = {
    "runs": ("arm", "digest", "config", "samples", "samples_sha256", "started_at", "finished_at", "turn"),
    "requests": ("data_index", "key", "sent", "original"),
    "results": ("data_index", "trial", "status", "finish_reason", "response", "failure", "duration_ms", "first_ms",
                "prompt_tokens", "completion_tokens", "last_run_at", "line"),
}  # fmt: skip


def _value(random: Random, path: Path) -> None:
    """Another value in one column, in one row or in all."""
    table = random.choice(sorted(COLUMNS))
    where = random.choice(("", " WHERE run_id = 1", " WHERE run_id = 2"))
    _statements(f"UPDATE OR IGNORE {table} SET {random.choice(COLUMNS[table])} = {random.choice(VALUES)}{where}")(
        random, path
    )


def _foreign(random: Random, path: Path) -> None:
    path.unlink()
    _statements("CREATE TABLE notes (text)", "CREATE TABLE runs (run_id)", "PRAGMA user_version = 3")(random, path)


def _left_over(random: Random, path: Path) -> None:
    """A log of another file, or of nothing, beside it."""
    for name in random.sample(("-wal", "-shm", "-journal"), random.choice((1, 2))):
        path.with_name(path.name + name).write_bytes(random.choice((b"", b"x" * 5000, random.randbytes(40000))))


def _killed(random: Random, path: Path) -> None:
    """As a run that was killed leaves it: what is newest stands in the log alone, the end of which may be lost."""
    file = sqlite3.connect(path)
    file.execute("PRAGMA journal_mode = WAL")
    with file:
        file.execute("UPDATE results SET duration_ms = 7")
    log = path.with_name(path.name + "-wal")
    data, main = log.read_bytes(), path.read_bytes()
    file.close()
    path.write_bytes(main if random.random() < 0.7 else b"")
    log.write_bytes(data if random.random() < 0.5 else _damage.corrupted(random, data))


def _instead(random: Random, path: Path) -> None:
    path.unlink()
    _damage.INSTEAD[random.choice(sorted(_damage.INSTEAD))](path)


DAMAGES: Mapping[str, Callable[[Random, Path], None]] = {
    "flipped": _rewritten(_flipped),
    "blanked": _rewritten(_blanked),
    "cut": _rewritten(lambda random, data: data[: random.choice((0, 1, 50, 100, 4096, random.randrange(len(data))))]),
    "longer": _rewritten(lambda random, data: data + random.randbytes(random.choice((1, 4096, 10000)))),
    "text": _rewritten(lambda random, data: _damage.encoded(random, b'{"a": 1}')),
    "value": _value,
    "table": _statements(
        *(f"DROP TABLE {name}" for name in ("runs", "requests", "results", "attempts")),
        *(f"DELETE FROM {name}" for name in ("runs", "requests", "results", "attempts")),
        "ALTER TABLE results RENAME COLUMN response TO answer",
        "ALTER TABLE runs RENAME TO old",
    ),
    "format": _statements(
        *(f"PRAGMA user_version = {number}" for number in (0, 1, 2, 4, 2**31 - 1, -5)),
        "PRAGMA application_id = 0",
        "PRAGMA application_id = 7",
    ),
    "foreign": _foreign,
    "left over": _left_over,
    "killed": _killed,
    "instead": _instead,
}


def _over(*words: str) -> Callable[[Given, Random, Path], Ran]:
    def case(given: Given, random: Random, path: Path) -> Ran:
        return run(*(word.format(path=path, folder=path.parent, good=given.good) for word in words))

    return case


def _run(given: Given, random: Random, path: Path) -> Ran:
    samples = given.good.with_name("samples.jsonl")
    return run("bench", "run", samples, "--base-url", given.url, "--arm", random.choice("ab"), "--out", path)


COMMANDS: Mapping[str, Callable[[Given, Random, Path], Ran]] = {
    "summary": _over("bench", "summary", "{path}"),
    "summary as JSON": _over("bench", "summary", "--json", "{path}"),
    "summary by arm": _over("bench", "summary", "{path}", "--reference", "theirs"),
    "compare": _over("bench", "compare", "{path}", "a", "theirs"),
    "compare as JSON": _over("bench", "compare", "{path}", "a", "theirs", "--json", "--reference", "theirs"),
    "export": _over("bench", "export", "{path}", "--arm", "theirs", "--k2vv", "{folder}/exported"),
    "export ours": _over("bench", "export", "{path}", "--arm", "a", "--k2vv", "{folder}/exported"),
    "import": lambda given, random, path: run("bench", "import", "--arm", random.choice(("theirs", "new")), path,
                                              given.good.with_name("results.jsonl")),
    "run": _run,
}  # fmt: skip
OF_BYTES = ("flipped", "blanked", "cut", "longer", "left over")
"""Damages after which a file is whole or is refused."""

READ_ONLY = {name for name in COMMANDS if name not in ("import", "run")}
