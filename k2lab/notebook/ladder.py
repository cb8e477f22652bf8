"""The ladder from before to after: the same requests through arms that each differ in one thing from the one before.

The faults of the published story are mended one by one, in its order, on the
release it was told of; then parallel calls, which that release reads as one, are
read apart, and the last rung is a later release. Beside it stands the release
that came next, with nothing else mended.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from k2lab.bench import metrics, store
from k2lab.bench.arm import Arm, Enforce, Repair
from k2lab.bench.judged import Judged, judge_all
from k2lab.bench.limits import Limits
from k2lab.bench.metrics import Comparison, Flip
from k2lab.bench.progress import Progress
from k2lab.bench.runner import run_arms
from k2lab.bench.summary import Summary, summarise
from k2lab.bench.timing import Timed, timed
from k2lab.enforcer import Options, ask, family_for
from k2lab.notebook.questions import Questions
from k2lab.notebook.subjects import Subject
from k2lab.prompt import templates
from k2lab.prompt.source import open_source
from k2lab.server.endpoint import Endpoint
from k2lab.show import views
from k2lab.show.plots import Successes


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Climbed:
    """What became of the arms of one file, by name."""

    went: Mapping[str, Progress]
    summaries: Mapping[str, Summary]
    judged: Mapping[str, Sequence[Judged]] = field(repr=False)

    def compared(self, steps: Sequence[tuple[str, str]]) -> dict[str, Comparison]:
        """Pairs of arms on the same requests, each known as ``FIRST → SECOND``."""
        judged = self.judged
        return {
            f"{first} → {second}": metrics.compare(judged[first], judged[second], arms=(first, second))
            for first, second in steps
        }

    def successes(self, names: Iterable[str] = ()) -> dict[str, Successes]:
        """Successful tool calls of these arms, of all where none is named, and the calls that their reference makes."""
        return {name: _successes(self.summaries[name]) for name in (list(names) or self.summaries)}

    def timed(self) -> dict[str, Timed]:
        """What each arm took."""
        return {name: timed(results) for name, results in self.judged.items()}

    def with_call_fault(self, arm: str, fault: str) -> list[Judged]:
        """The answers of an arm of which a call has this fault."""
        return [result for result in self.judged[arm] if any(call.fault == fault for call in result.verdict.calls)]


def _successes(summary: Summary) -> Successes:
    counts, held = summary.k2vv, summary.trigger
    return Successes(
        count=counts.successful_tool_call_count,
        requests=summary.requests,
        wanted=held.tp + held.fn if held else None,
    )


RUNGS = (
    Rung(
        name="all faults",
        server="0.11.0 legacy",
        change="the flag in **kwargs, the content fault, foreign ids",
        content_fault=True,
    ),
    Rung(
        name="generation prompt",
        server="0.11.0 declared",
        change="the tokenizer declares add_generation_prompt",
        content_fault=True,
    ),
    Rung(name="content", server="0.11.0 declared", change="the template without the content fault"),
    Rung(name="ids renumbered", server="0.11.0 declared", change="history ids become functions.NAME:IDX", repair="ids"),
    Rung(
        name="0.11.0, read by k2lab",
        server="0.11.0 declared",
        change="0.11.0's model output, its parallel calls read apart by k2lab's parser",
        repair="ids",
        by_hand=True,
    ),
    Rung(name="0.32.0", server="0.32.0 declared", change="the same folder and requests on vLLM 0.32.0", repair="ids"),
)
"""In order; the first is where the story begins."""

NEXT_RELEASE = Rung(
    name="0.11.1, nothing else mended",
    server="0.11.1 legacy",
    change="the first rung's folder and requests on vLLM 0.11.1",
    content_fault=True,
)
"""Beside the ladder: differs from the first rung in the release alone."""

LADDER = (*RUNGS, NEXT_RELEASE)
"""All that notebook 4 asks."""

BOUNDS = Options(max_calls=2, max_string=16)
"""What k2-nano's answers need: two calls at most, and strings of up to fifteen characters."""

ROOM = 512
"""Tokens for an answer of the enforced arms: more than the longest that the pinned tag admits k2-nano to write."""

_FREE = Rung(name="off", server="0.32.0 current", change="nothing is enforced", repair="ids", max_tokens=ROOM)
_PINNED = replace(_FREE, name="pinned", change="k2lab's tag: names, arguments, the index", enforce="pinned")

ENFORCED = (
    _FREE,
    replace(
        _FREE,
        name="server: function",
        server="0.32.0 current strict-function",
        change="vLLM holds the names",
        enforce="server-function",
    ),
    replace(
        _FREE,
        name="server: parameter",
        server="0.32.0 current strict-parameter",
        change="vLLM holds names and arguments",
        enforce="server-parameter",
    ),
    _PINNED,
    replace(_PINNED, name="pinned, streamed", change="the same, streamed", stream=True),
)
"""The ladder's last rung under four kinds of enforcement, and the last of them streamed."""

YOURS = "your server"

REPAIRED = (
    Rung(name="as sent", server=YOURS, change="nothing"),
    Rung(name="history repaired", server=YOURS, change="the history is repaired", repair="history"),
)
"""For a reader's own server: what repairing the history brings."""

PINNED = (
    Rung(name="off", server=YOURS, change="history ids become functions.NAME:IDX", repair="ids"),
    Rung(name="pinned", server=YOURS, change="k2lab's tag", repair="ids", enforce="pinned"),
)
"""For a reader's own server: what the tag brings."""

STEPS = (
    *itertools.pairwise(rung.name for rung in RUNGS),
    (RUNGS[3].name, RUNGS[5].name),
    (RUNGS[0].name, NEXT_RELEASE.name),
    (NEXT_RELEASE.name, RUNGS[5].name),
)
"""Pairs of arms to compare: each rung with the one before, both releases by their own parsers, and the arm beside the
ladder with its ends."""


Show = Callable[[str, Progress], None]


def climb(
    rungs: Sequence[Rung],
    subjects: Mapping[str, Subject],
    asked: Questions,
    *,
    concurrency: int = 32,
    show: Show | None = None,
    side_by_side: bool = False,
) -> Climbed:
    """Run every rung into one file; what is there already is not asked again. A notebook shows where each stands.

    ``side_by_side`` asks all servers at the same time, each with ``concurrency``: it takes less time, and tells nothing
    of how long an answer takes.
    """
    arms = [arm_of(rung, subjects[rung.server]) for rung in rungs]
    return _run(arms, asked, concurrency, show or views.live(), side_by_side=side_by_side)


def climb_on(
    endpoint: Endpoint, rungs: Sequence[Rung], asked: Questions, *, concurrency: int = 32, show: Show | None = None
) -> Climbed:
    """The same on a reader's own server; a tag has the form that it obeys, and loosens what no grammar holds.

    Raises :class:`~k2lab.errors.UnsupportedError` for a server that takes no tag, where a rung sends one.
    """
    pinned = any(rung.enforce == "pinned" for rung in rungs)
    family = family_for(endpoint.model)
    tag = Options(form=ask.form_of(endpoint), family=family, loosen=True) if pinned else Options()
    arms = [
        Arm(
            name=rung.name,
            base_url=endpoint.base_url,
            model=endpoint.model,
            repair=rung.repair,
            enforce=rung.enforce,
            tag=tag,
        )
        for rung in rungs
    ]
    return _run(arms, asked, concurrency, show or views.live())


def arm_of(rung: Rung, subject: Subject) -> Arm:
    """A rung as an arm; it is known by engine and model folder, not by the port of the day."""
    source = open_source(subject.folder) if rung.by_hand else None
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


def table_of(flips: Sequence[Flip], asked: Questions) -> views.View:
    """Requests that flip, with how many calls the reference makes."""
    known = asked.reference or {}
    return views.table(
        [
            {
                "data_index": flip.data_index,
                "before": flip.before,
                "after": flip.after,
                "calls asked for": known[flip.data_index].count if flip.data_index in known else "not known",
            }
            for flip in flips
        ]
    )


def _run(arms: Sequence[Arm], asked: Questions, concurrency: int, show: Show, *, side_by_side: bool = False) -> Climbed:
    went: dict[str, Progress] = {}
    limits = Limits(concurrency=concurrency)
    for some in [arms] if side_by_side else [[arm] for arm in arms]:
        ended = run_arms(asked.samples, some, asked.answers, limits=limits, limit=asked.limit, show=show)
        if len(ended) < len(some) or any(progress.ended for progress in ended.values()):
            raise KeyboardInterrupt
        went |= ended
    with store.reading(asked.answers) as kept:
        runs = [kept.run_of(arm.name) for arm in arms]
        return Climbed(
            went=went,
            summaries={run.arm: summarise(kept, run, asked.reference) for run in runs},
            judged={run.arm: list(judge_all(kept.results(run))) for run in runs},
        )
