"""The ladder from before to after: the same requests through arms that each differ in one thing from the one before.

The faults of the published story are mended one by one, in its order, on the
release it was told of; the last rung is a later release. Beside it stands an
arm that tells the later release's parser from the rest of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from k2lab.bench import store
from k2lab.bench.arm import Arm, Enforce, Repair
from k2lab.bench.limits import Limits
from k2lab.bench.metrics import Reference
from k2lab.bench.progress import Progress
from k2lab.bench.runner import run_benchmark
from k2lab.bench.samples import Samples
from k2lab.bench.summary import Summary, summarise
from k2lab.bench.verdicts import Judged, judge_all
from k2lab.enforcer import Options
from k2lab.notebook.subjects import Subject
from k2lab.prompt import templates
from k2lab.prompt.source import open_source


@dataclass(frozen=True)
class Rung:
    """One arm: its server, what is done to a request, and what differs from the rung before."""

    name: str
    server: str
    change: str
    repair: Repair = ""
    content_fault: bool = False
    """Whether each request brings the server's own template with the content fault put back."""
    by_hand: bool = False
    enforce: Enforce = "off"
    stream: bool | None = None
    max_tokens: int | None = None
    """In place of what the requests ask for."""


RUNGS = (
    Rung("all faults", "0.11.0 legacy", "the flag in **kwargs, the content fault, foreign ids", content_fault=True),
    Rung("generation prompt", "0.11.0 declared", "the tokenizer declares add_generation_prompt", content_fault=True),
    Rung("content", "0.11.0 declared", "the template without the content fault"),
    Rung("ids renumbered", "0.11.0 declared", "history ids become functions.NAME:IDX", repair="ids"),
    Rung("0.32.0", "0.32.0 declared", "the same folder and requests on vLLM 0.32.0", repair="ids"),
)
"""In order; the first is where the story begins."""

PARSER = Rung(
    "0.11.0, read by k2lab", "0.11.0 declared", "0.11.0's model output, read by k2lab's parser", "ids", by_hand=True
)
"""Beside the ladder: differs from the fourth rung in the parser alone."""

BOUNDS = Options(max_calls=2, max_string=16)
"""What k2-nano's answers need: two calls at most, and strings of up to fifteen characters."""

ROOM = 512
"""Tokens for an answer of the enforced arms: more than the longest that the pinned tag admits k2-nano to write."""

ENFORCED = (
    Rung("off", "0.32.0 current", "nothing is enforced", "ids", max_tokens=ROOM),
    Rung("server: function", "0.32.0 current strict-function", "vLLM holds the names", "ids",
         enforce="server-function", max_tokens=ROOM),
    Rung("server: parameter", "0.32.0 current strict-parameter", "vLLM holds names and arguments", "ids",
         enforce="server-parameter", max_tokens=ROOM),
    Rung("pinned", "0.32.0 current", "k2lab's tag: names, arguments, the index", "ids", enforce="pinned",
         max_tokens=ROOM),
    Rung("pinned, streamed", "0.32.0 current", "the same, streamed", "ids", enforce="pinned", stream=True,
         max_tokens=ROOM),
)  # fmt: skip
"""The ladder's last rung under four kinds of enforcement, and the last of them streamed."""

STEPS = (
    *itertools.pairwise(rung.name for rung in RUNGS),
    (RUNGS[3].name, PARSER.name),
    (PARSER.name, RUNGS[4].name),
)
"""Pairs of arms to compare: each rung with the one before, and the arm beside them with its neighbours."""


def climb(
    rungs: Sequence[Rung],
    subjects: Mapping[str, Subject],
    samples: Samples,
    out: Path,
    *,
    limit: int | None = None,
    concurrency: int = 32,
    show: Callable[[str, Progress], None] = lambda name, progress: None,
) -> dict[str, Progress]:
    """Run every rung into one file, and how each went by name; what is there already is not asked again."""
    ended: dict[str, Progress] = {}
    for rung in rungs:
        arm = arm_of(rung, subjects[rung.server])
        limits = Limits(concurrency=concurrency)
        told = partial(show, rung.name)
        ended[rung.name] = run_benchmark(samples, arm, out, limits=limits, limit=limit, show=told)
    return ended


def arm_of(rung: Rung, subject: Subject) -> Arm:
    """A rung as an arm; it is known by engine and model folder, not by the port of the day."""
    source = open_source(subject.folder, trust_remote_code=True) if rung.by_hand else None
    faulty = templates.with_content_fault(templates.without_generation_block(templates.read(templates.CURRENT)))
    return Arm(
        name=rung.name,
        base_url=subject.endpoint.base_url,
        model=subject.endpoint.model,
        repair=rung.repair,
        extra_body={
            **({"chat_template": faulty} if rung.content_fault else {}),
            **({"max_tokens": rung.max_tokens} if rung.max_tokens else {}),
        },
        stream=rung.stream,
        enforce=rung.enforce,
        tag=BOUNDS,
        source=source,
        serves=f"vLLM {subject.engine}, {subject.folder.name}",
    )


def summaries(out: Path, reference: Mapping[int, Reference]) -> dict[str, Summary]:
    """Every arm of a file summed up, by name."""
    with store.reading(out) as file:
        return {run.arm: summarise(file, run, reference) for run in file.arms()}


def judged(out: Path) -> dict[str, list[Judged]]:
    """Every result of a file with its verdict, by arm."""
    with store.reading(out) as file:
        return {run.arm: list(judge_all(file.results(run))) for run in file.arms()}
