"""``k2lab bench``: run a benchmark, sum it up, compare arms, exchange with K2-Vendor-Verifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from k2lab import interrupts, jsonable, stats
from k2lab.cli.arms import Pinning, Sending, arm_of
from k2lab.cli.common import BASE_URL, MODEL, SOURCE_HELP, TEMPLATE_KWARGS, THINKING, TRUST, as_record
from k2lab.cli.matrices import matrix_command
from k2lab.cli.printing import note, print_json, print_line, print_notes, print_path, print_text
from k2lab.cli.progress import show_progress
from k2lab.errors import InputError

if TYPE_CHECKING:
    from k2lab.bench.metrics import Reference
    from k2lab.bench.planning import Plan
    from k2lab.bench.records import Run
    from k2lab.bench.store import Store

FILE = click.Path(path_type=Path, dir_okay=False)
RUN = click.argument("run", type=FILE)
REFERENCE = click.option(
    "--reference", default=None, help="What the answers should be: a result file of K2VV, labels, or an arm of RUN."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """Which requests are asked, and what that may take; ``timeout`` and ``deadline`` are seconds."""

    limit: int | None
    trials: int
    rerun_failed: bool
    concurrency: int
    rate: float | None
    timeout: float
    deadline: float | None
    retries: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a plan is asked; shares of 1."""

    share: float | None
    f1: float | None
    against: float
    paired: bool
    flips: float | None
    calling: float | None
    alpha: float
    power: float


@click.group(name="bench")
def bench_group() -> None:
    """K2-Vendor-Verifier's measure: a server calls tools when it should, or not, and rightly, or not."""


bench_group.add_command(matrix_command)


@bench_group.command(name="samples")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--count", type=click.IntRange(min=1), default=4000, show_default=True)
@click.option("--seed", default=2025, show_default=True)
@click.option("--kvv", "checkout", default=None, type=click.Path(path_type=Path, file_okay=False),
              help="In place of k2-nano's set: schemas and prompts of a checkout of Kimi-Vendor-Verifier.")  # fmt: skip
def samples_command(folder: Path, count: int, seed: int, checkout: Path | None) -> None:
    """Write k2-nano's own benchmark set into FOLDER: samples.jsonl, and labels.jsonl as its reference.

    Or with --kvv two sets of MoonshotAI/Kimi-Vendor-Verifier: schemas.jsonl, a required call for each, and
    prompts.jsonl with prompts.labels.jsonl, which says how many tokens each prompt has. Nothing of it is run.
    """
    from k2lab.bench import kvv
    from k2lab.nano import benchmark

    try:
        written = kvv.write(checkout, folder) if checkout else benchmark.write(folder, count, seed)
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror or error}") from error
    for path in written:
        print_path(path)


@bench_group.command(name="run")
@click.argument("samples_file", metavar="SAMPLES", type=FILE)
@BASE_URL
@MODEL
@click.option("--out", required=True, type=FILE, help="The SQLite file of the results; an interrupted run goes on.")
@click.option("--arm", default="", help="A name for these settings in RUN; by default the model's name.")
@click.option("--limit", type=click.IntRange(min=1), default=None, help="Ask only this many requests, from the start.")
@click.option(
    "--trials", type=click.IntRange(min=1), default=1, show_default=True, help="How many times each request is asked."
)
@click.option("--stream/--no-stream", default=None, help="Stream the answers; by default as each request says.")
@click.option("--repair", is_flag=True, help="Mend each history first, as `k2lab repair` does.")
@click.option("--enforce", type=click.Choice(["off", "server-function", "server-parameter", "pinned"]), default="off",
              show_default=True, help="pinned: send k2lab's structural tag; server-: the server was started with that "
              "--tool-strict-level.")  # fmt: skip
@click.option("--form", type=click.Choice(["vllm", "vllm-0.11", "sglang", "tensorrt-llm"]), default=None,
              help="The server that takes the grammar, when pinned; by default the server is tried.")  # fmt: skip
@click.option("--max-calls", type=click.IntRange(min=1), default=8, show_default=True,
              help="Calls that an answer may make when pinned.")  # fmt: skip
@click.option("--max-string", type=click.IntRange(min=1), default=None,
              help="Characters of a string that its schema leaves unbounded, when pinned.")  # fmt: skip
@click.option("--loosen", is_flag=True, help="When pinned, go on where the grammar cannot hold a part of a schema.")
@THINKING
@click.option("--extra-body", default="{}", help="A JSON object put over each request.", metavar="JSON")
@TEMPLATE_KWARGS
@click.option("--source", default=None, help=f"Render by hand and ask /completions: {SOURCE_HELP}")
@TRUST
@click.option("--concurrency", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=None, help="Requests a second at most.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=600.0, show_default=True,
              help="Seconds that one request may take.")  # fmt: skip
@click.option(
    "--deadline", type=click.FloatRange(min=0, min_open=True), default=None, help="Seconds that the whole run may take."
)
@click.option("--retries", type=click.IntRange(min=0), default=0, show_default=True,
              help="Tries after a passing failure (429, 5xx, a lost connection); each is logged.")  # fmt: skip
@click.option("--rerun-failed", is_flag=True, help="Ask again what failed in an earlier run.")
@as_record("sending", Sending)
@as_record("pinning", Pinning)
@as_record("running", Running)
def run_command(samples_file: Path, out: Path, sending: Sending, pinning: Pinning, running: Running) -> None:
    """Ask a server every request of SAMPLES (a chat request a line) and store the answers.

    Killed at any moment and started again it goes on where it was.
    """
    from k2lab.bench.limits import Limits
    from k2lab.bench.runner import run_benchmark
    from k2lab.bench.samples import open_samples

    checked = open_samples(samples_file)
    arm = arm_of(sending, pinning)
    limits = Limits(
        concurrency=running.concurrency,
        rate=running.rate,
        timeout_s=running.timeout,
        deadline_s=running.deadline,
        retries=running.retries,
    )
    with show_progress() as tell:
        final = run_benchmark(
            checked,
            arm,
            out,
            limits=limits,
            limit=running.limit,
            trials=running.trials,
            rerun_failed=running.rerun_failed,
            show=lambda stand: tell(str(stand), done=stand.had + stand.got, of=stand.wanted),
        )
    if final.ended:
        note(f"ended early ({final.ended}): run the same command again to go on")
        raise click.exceptions.Exit(interrupts.status() if final.ended == "interrupted" else 1)
    print_line(f"{arm.name}: {final.had + final.got} results in {out}; next: k2lab bench summary {out}")


@bench_group.command(name="summary")
@RUN
@REFERENCE
@click.option("--model", default=None, help="Which published model the arms asked, where its name there does not "
              "say it: kimi-k2-0905-preview or kimi-k2-thinking.")  # fmt: skip
@JSON
def summary_command(run: Path, reference: str | None, model: str | None, as_json: bool) -> None:
    """Every arm of RUN: K2VV's numbers, the strict ones, why calls are invalid, and where it stands.

    Beside the figures that K2VV published of the same model: within, below, or not to be said of so few requests.
    """
    from k2lab.bench import published, standing, store
    from k2lab.bench.summary import summarise

    if model is not None and published.rows() and standing.unplaced(model):
        raise InputError(standing.unplaced(model))
    from k2lab.show import views

    with store.reading(run) as file:
        known = _reference(file, reference)
        arms = file.arms()
        held = [arm for arm in arms if file.has_results(arm)]
        official = _is_official(file, reference)
        summaries = [summarise(file, arm, known, model=model, official=official) for arm in held or arms]
    for arm in arms if held else ():
        if arm not in held:
            note(f"arm {arm.arm!r} has no results yet, and is left out")
    if as_json:
        print_json(jsonable.as_json(summaries, computed=True))
    else:
        print_text(views.bench_summaries(summaries).text)


@bench_group.command(name="compare")
@RUN
@click.argument("arm_a")
@click.argument("arm_b")
@REFERENCE
@click.option("--flips", default=10, show_default=True, help="How many requests that differ are shown.")
@JSON
def compare_command(run: Path, arm_a: str, arm_b: str, reference: str | None, flips: int, as_json: bool) -> None:
    """Two arms of RUN on the same requests: what each gains and loses, and whether that is chance (McNemar)."""
    from k2lab.bench import metrics, store
    from k2lab.bench.judged import judge_all
    from k2lab.show import views

    with store.reading(run) as file:
        known = _reference(file, reference)
        runs = [file.run_of(arm) for arm in (arm_a, arm_b)]
        first, second = (judge_all(file.results(one)) for one in runs)
        names = (_label(runs[0]), _label(runs[1]))
        made = metrics.compare(first, second, metrics.same_as(known) if known else None, arms=names)
    if as_json:
        data = jsonable.as_json(made, computed=True)
        assert isinstance(data, dict)
        print_json({**data, "arms": [one.arm for one in runs], "imported": [one.arm for one in runs if one.imported]})
    else:
        print_text(views.comparison(made, flips).text)


@bench_group.command(name="plan")
@click.option("--share", type=float, default=None, help="The share that one arm is right, such as 0.8.")
@click.option("--f1", type=float, default=None, help="In place of --share: one arm's F1 against its reference.")
@click.option("--against", type=float, required=True, help="The share of the other arm; with --f1 the bar, as 0.73.")
@click.option("--paired", is_flag=True, help="Both arms are asked the same requests, as `k2lab bench compare` needs.")
@click.option("--flips", type=float, default=None, help="When paired: the share of requests on which just one arm is "
              "right; by default as if the two were unrelated.")  # fmt: skip
@click.option("--calling", type=float, default=None, help="With --f1: the share of requests in which the arm or its "
              "reference calls; by default only such requests are counted.")  # fmt: skip
@click.option("--alpha", default=stats.ALPHA, show_default=True, help="Level of the two-sided test.")
@click.option("--power", default=stats.POWER, show_default=True, help="How often a difference that is there is found.")
@JSON
@as_record("question", Question)
def plan_command(question: Question, as_json: bool) -> None:
    """How many requests it takes to tell two shares apart, or an F1 from a bar."""
    made = _planned(question)
    if as_json:
        print_json(jsonable.as_json(made))
        return
    print_line(str(made))
    print_notes(made.notes)


@bench_group.command(name="export")
@RUN
@click.option("--k2vv", "folder", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--arm", default=None, help="The arm to write; by default RUN's only one.")
@click.option("--trial", type=click.IntRange(min=0), default=0, show_default=True)
def export_command(run: Path, folder: Path, arm: str | None, trial: int) -> None:
    """Write an arm in K2VV's form: results.jsonl and summary.json."""
    from k2lab.bench import k2vv, store

    with store.reading(run) as file:
        for path in k2vv.export(file, file.run_of(arm or _only_arm(file)), folder, trial=trial):
            print_path(path)


@bench_group.command(name="import")
@RUN
@click.argument("results", type=FILE)
@click.option("--arm", required=True, help="Its name in RUN.")
@click.option("--summary", type=FILE, default=None, help="K2VV's summary of the same run; the summary.json beside "
              "RESULTS, where there is one that agrees with it.")  # fmt: skip
def import_command(run: Path, results: Path, arm: str, summary: Path | None) -> None:
    """Take a result file of K2VV into RUN as an arm, an official one as a reference perhaps.

    Every field of a line is kept, and `k2lab bench export` writes it again. K2VV's own verdicts count in its numbers.
    """
    from k2lab.bench import k2vv, store

    with store.writing(run) as file:
        taken = k2vv.load(file, results, arm, summary)
    if taken.note:
        note(taken.note)
    print_line(f"{arm}: {taken.results} results in {run}")


def _planned(asked: Question) -> Plan:
    from k2lab.bench import planning

    test = {"alpha": asked.alpha, "power": asked.power}
    if (asked.share is None) == (asked.f1 is None):
        raise InputError("give either --share or --f1")
    if asked.f1 is not None:
        if asked.paired or asked.flips is not None:
            raise InputError("--paired and --flips belong to --share: an F1 is of one arm")
        return planning.f1_against(asked.f1, asked.against, asked.calling, **test)
    assert asked.share is not None
    if asked.calling is not None:
        raise InputError("--calling belongs to --f1")
    if asked.paired:
        return planning.pairs(asked.share, asked.against, asked.flips, **test)
    if asked.flips is not None:
        raise InputError("--flips belongs to --paired: different requests do not flip")
    return planning.two_shares(asked.share, asked.against, **test)


def _reference(file: Store, name: str | None) -> dict[int, Reference] | None:
    from k2lab.bench import k2vv

    if name is None:
        return None
    if any(run.arm == name for run in file.arms()):
        return k2vv.reference_of(file, name)
    return k2vv.reference(Path(name))


def _is_official(file: Store, name: str | None) -> bool | None:
    """Whether a reference is a run of Moonshot's API; ``None`` for a file, which does not say who answered."""
    from k2lab.bench import published

    run = next((run for run in file.arms() if run.arm == name), None)
    return None if run is None or run.imported else published.is_official(str(run.config.get("endpoint")))


def _label(run: Run) -> str:
    return f"{run.arm} (imported)" if run.imported else run.arm


def _only_arm(file: Store) -> str:
    names = [run.arm for run in file.arms()]
    if len(names) != 1:
        raise InputError(
            f"choose one with --arm: {', '.join(names)}"
            if names
            else "the file has no arm yet: add one with k2lab bench run"
        )
    return names[0]
