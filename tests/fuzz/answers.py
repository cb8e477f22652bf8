"""What a server answers, over every command that asks one: wrong shapes in right answers, and wrong HTTP."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from k2lab import chat, paths
from k2lab.bench import store
from k2lab.jsonread import NotJSON, read_json
from k2lab.server.endpoint import Endpoint
from tests.fuzz._commands import Ran, run, written
from tests.fuzz.frame import Attempt
from tests.helpers.hostile_server import Hostile, hostile_server

KEPT = range(100)
TIMEOUT_S = 1.0
TALK = paths.data_dir() / "conversations" / "get_weather.json"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a try may use: the server, its URL, a model folder."""

    hostile: Hostile
    url: str
    source: str

    def tried(self, random: Random, folder: Path) -> None:
        """One command of all, asked once or a few times of a server that means ill."""
        self.hostile.begin(random, plain_http=random.random() < 0.75)
        name = random.choice(sorted(CASES))
        CASES[name](self, random, folder).checked()
        list(written(folder))

    def ids_came(self) -> bool:
        """Whether anything that was sent can be taken for the ids of a prompt."""
        return any(_ids_in(value) for _, value in self.hostile.sent)


@contextmanager
def opened(place: Path) -> Iterator[Attempt]:
    """A hostile server, a model folder, and endpoints that wait a second and not two minutes."""
    from k2lab.nano import folders
    from k2lab.prompt.rendering import render

    source = str(folders.assemble("current"))
    hostile = Hostile(render(source, chat.load(TALK)).token_ids or ())
    limits = mock.patch.dict(Endpoint.__init__.__kwdefaults__, {"timeout_s": TIMEOUT_S})
    with hostile_server(hostile) as url, limits:
        yield Given(hostile=hostile, url=url, source=source).tried


def _asked(*words: str) -> Callable[[Given, Random, Path], Ran]:
    def case(given: Given, random: Random, folder: Path) -> Ran:
        filled = [word.format(url=given.url, source=given.source) for word in words]
        model = ("--model", "m") if random.random() < 0.7 else ()
        return run(*filled, *model, "--conversation", TALK)

    return case


def _answered(*words: str) -> Callable[[Given, Random, Path], Ran]:
    """A command that prints an answer: the very one that was sent."""

    def case(given: Given, random: Random, folder: Path) -> Ran:
        ran = _asked(*words)(given, random, folder)
        if ran.code == 0:
            assert _same(json.loads(ran.out), given.hostile.sent[-1][1])
        return ran

    return case


def _prompt_ids(given: Given, random: Random, folder: Path) -> Ran:
    ran = _asked("prompt-ids", "--base-url", "{url}")(given, random, folder)
    if ran.code == 0 and not given.ids_came():
        assert json.loads(ran.out)["token_ids"] is None
    return ran


def _probe(given: Given, random: Random, folder: Path) -> Ran:
    ran = _asked("probe", "--base-url", "{url}", "--source", "{source}", "--json")(given, random, folder)
    if ran.out:
        states = {finding["state"] for finding in json.loads(ran.out)["findings"]}
        assert given.ids_came() or states == {"unknown"}, states
    return ran


def _diff(given: Given, random: Random, folder: Path) -> Ran:
    ran = _asked("diff", "{url}", "{source}")(given, random, folder)
    if not given.ids_came():
        assert ran.code == 1 and not ran.out, "a comparison with ids that nobody has"
    return ran


def _parsers(given: Given, random: Random, folder: Path) -> Ran:
    line = (paths.data_dir() / "failures.jsonl").read_bytes().split(b"\n")[0]
    (folder / "one.jsonl").write_bytes(line)
    words = ("--base-url", given.url, "--source", given.source, "--catalogue", folder / "one.jsonl")
    return run("parsers", *words, *random.choice(((), ("--json",))))


def _bench(given: Given, random: Random, folder: Path) -> Ran:
    samples, out = folder / "samples.jsonl", folder / "run.db"
    talk = json.loads(TALK.read_text())
    lines = [{**talk, "user": str(number)} for number in range(3)]
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    more = random.choice(((), ("--stream",), ("--source", given.source)))
    model = ("--model", "m") if random.random() < 0.8 else ()
    ran = run("bench", "run", samples, "--base-url", given.url, "--out", out, *more, *model,
              "--timeout", str(TIMEOUT_S), "--concurrency", "2")  # fmt: skip
    if ran.code == 0:
        _hold(given, out, as_sent=not more)
        run("bench", "summary", out).checked(0)
        run("bench", "summary", out, "--json").checked(0)
        run("bench", "export", out, "--k2vv", folder / "k2vv").checked(0)
        run("bench", "import", folder / "again.db", folder / "k2vv" / "results.jsonl", "--arm", "again").checked(0)
    return ran


def _hold(given: Given, out: Path, *, as_sent: bool) -> None:
    """Every request has a result: a reason, or an answer that was sent."""
    with store.reading(out) as file:
        results = list(file.results(file.arms()[0]))
    assert len(results) == 3
    for result in results:
        assert result.failure or result.finish_reason is not None
        if as_sent and result.response is not None:
            assert any(_same(result.response, value) for _, value in given.hostile.sent)


def _same(got: Any, sent: Any) -> bool:
    """Equal as JSON; what was written badly on purpose, keys twice among it, is not held against anybody."""
    with contextlib.suppress(NotJSON, RecursionError):
        return bool(read_json(json.dumps(sent)) == got) or _twice(got, sent)
    return True


def _twice(got: Any, sent: Any) -> bool:
    """Whether the difference is a key that the writer put in twice."""
    return isinstance(got, dict) and isinstance(sent, dict) and got.keys() - sent.keys() <= {"choices", "x"}


def _ids_in(value: Any) -> bool:
    if isinstance(value, dict):
        lists = [value.get("tokens"), value.get("prompt_token_ids")]
        choices = value.get("choices")
        lists += (
            [choices[0].get("prompt_token_ids")]
            if isinstance(choices, list) and choices and isinstance(choices[0], dict)
            else []
        )
        return any(_is_ids(item) for item in lists)
    return False


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is int and 0 <= item < math.inf for item in value)


CASES: dict[str, Callable[[Given, Random, Path], Ran]] = {
    "bench": _bench,
    "bench again": _bench,
    "chat": _answered("chat", "--base-url", "{url}"),
    "complete": _answered("complete", "--base-url", "{url}", "--source", "{source}"),
    "diff": _diff,
    "parsers": _parsers,
    "probe": _probe,
    "prompt-ids": _prompt_ids,
}
