"""Sends every request of a samples file to a server and stores what comes back.

A run can be killed at any moment and started again: it asks what has no result
yet. Failures are recorded with their reason; what would fail for every request
(nobody there, a refused key, an unknown model) ends the run instead.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from k2lab.bench import store
from k2lab.bench.arm import Arm, Prepared
from k2lab.bench.client import Attempt, Client
from k2lab.bench.limits import Limits, Pace, is_fatal, is_passing, wait_s
from k2lab.bench.progress import Progress
from k2lab.bench.records import Done
from k2lab.bench.samples import Sample, Samples, open_samples
from k2lab.errors import EndpointError, InputError
from k2lab.server.keys import Key

CHUNK = 16
"""Requests that are prepared and looked up at a time: answers that come meanwhile wait, so no more than a few ms."""

BATCH, BATCH_S = 256, 0.25
"""Results that are written at a time, and how long one waits for others."""

PROGRESS_S = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    """What is to be asked: the first ``limit`` samples, each ``trials`` times, with what failed or without."""

    samples: Samples
    arm: Arm
    limits: Limits
    limit: int | None
    pace: Pace
    trials: int = 1
    rerun_failed: bool = False
    key: Key | None = None

    def __post_init__(self) -> None:
        if self.trials < 1 or (self.limit is not None and self.limit < 1):
            raise InputError(f"trials and limit must be positive, not {self.trials} and {self.limit}")

    def __iter__(self) -> Iterator[Sample]:
        return itertools.islice(self.samples, self.limit)


def run_benchmark(
    samples: Samples | str | Path,
    arm: Arm,
    out: str | Path,
    *,
    limits: Limits | None = None,
    limit: int | None = None,
    trials: int = 1,
    rerun_failed: bool = False,
    show: Callable[[Progress], None] = lambda progress: None,
    stop: threading.Event | None = None,
    pace: Pace | None = None,
    key: Key | None = None,
) -> Progress:
    """Ask for every request (the first ``limit``), ``trials`` times, what is not in the file ``out`` yet.

    ``samples`` is a file of chat requests, one a line. ``show`` is called about
    twice a second. Ctrl-C, ``stop`` set by another thread, and the deadline end
    the run early with what it has. ``pace`` is shared with other runs, in place
    of a rate of ``limits``. Without a ``key`` that of ``OPENAI_API_KEY`` is sent.
    Raises :class:`EndpointError` for a server that can answer none of the
    requests, :class:`InputError` for a file that is none, or in use.

    >>> from pathlib import Path
    >>> line = '{"messages": [{"role": "user", "content": "Hello"}]}'
    >>> Path("samples.jsonl").write_text(line) > 0
    True
    >>> arm = k2lab.Arm(name="as sent", base_url=base_url, model="m")
    >>> k2lab.run_benchmark("samples.jsonl", arm, "run.db").counts
    {'stop': 1}
    """
    task = _Task(
        samples=_opened(samples),
        arm=arm,
        limits=limits or Limits(),
        limit=limit,
        trials=trials,
        rerun_failed=rerun_failed,
        pace=pace or Pace((limits or Limits()).rate),
        key=key,
    )
    (final,) = _watch([task], Path(out), stop or threading.Event(), lambda name, progress: show(progress))
    assert final is not None
    return final


def run_arms(
    samples: Samples | str | Path,
    arms: Sequence[Arm],
    out: str | Path,
    *,
    limits: Limits | None = None,
    limit: int | None = None,
    show: Callable[[str, Progress], None] = lambda name, progress: None,
) -> dict[str, Progress]:
    """Every arm as :func:`run_benchmark` runs one, into one file: servers side by side, the arms of one in turn.

    ``show`` is told which arm. A rate is that of an arm among others. The first error ends all, with what they have,
    and is raised; :class:`InputError` also for two arms of one name.
    """
    if twice := [name for name, times in Counter(arm.name for arm in arms).items() if times > 1]:
        raise InputError(f"several arms are called {', '.join(twice)}: give each a name of its own")
    opened, limits = _opened(samples), limits or Limits()
    tasks = [_Task(samples=opened, arm=arm, limits=limits, limit=limit, pace=Pace(limits.rate)) for arm in arms]
    ended = _watch(tasks, Path(out), threading.Event(), show)
    return {arm.name: final for arm, final in zip(arms, ended, strict=True) if final}


def _opened(samples: Samples | str | Path) -> Samples:
    return samples if isinstance(samples, Samples) else open_samples(samples)


def _watch(
    tasks: Sequence[_Task], out: Path, stop: threading.Event, show: Callable[[str, Progress], None]
) -> list[Progress | None]:
    """Do the tasks in a thread of their own, and tell from this one where they stand; of one not begun nothing."""
    with store.writing(out) as probe:  # a file that cannot be used is refused before a thread is started
        probe.runs()
    over = threading.Event()
    jobs = [_Job(task, lambda: stop.is_set() or over.is_set()) for task in tasks]
    with ThreadPoolExecutor(1, thread_name_prefix="k2lab-bench") as pool:  # a notebook's own event loop runs already
        try:
            future = pool.submit(_run, _side_by_side(jobs, out, over))
            while not future.done():
                try:
                    wait([future], PROGRESS_S)
                    if not future.done():
                        _tell(jobs, show)
                except KeyboardInterrupt:
                    over.set()
        finally:
            over.set()  # where ``show`` raises, nobody waits for the rest
        future.result()
    _tell(jobs, show)
    return [job.progress for job in jobs]


def _tell(jobs: Sequence[_Job], show: Callable[[str, Progress], None]) -> None:
    """Show what has moved."""
    for job in jobs:
        if job.progress and job.progress is not job.shown:
            job.shown = job.progress
            show(job.name, job.progress)


async def _side_by_side(jobs: Sequence[_Job], out: Path, over: threading.Event) -> None:
    """Run jobs into one file until all are done, or one has failed and the others have ended with what they have."""
    lanes: dict[str, list[_Job]] = {}
    for job in jobs:
        lanes.setdefault(job.server, []).append(job)
    with store.writing(out) as file:
        running = [asyncio.create_task(_in_turn(lane, file, over)) for lane in lanes.values()]
        try:
            await asyncio.gather(*running)
        except BaseException:
            over.set()
            await asyncio.gather(*running, return_exceptions=True)
            raise


async def _in_turn(jobs: Sequence[_Job], file: store.Store, over: threading.Event) -> None:
    for number, job in enumerate(jobs):
        if number and over.is_set():
            return
        await job.run(file)


def _run(main: Coroutine[object, None, None]) -> None:
    """As ``asyncio.run``, on uvloop's loop where that is installed: it costs less CPU a request."""
    try:
        import uvloop
    except ModuleNotFoundError:  # there is none for Windows
        asyncio.run(main)
    else:
        uvloop.run(main)


class _Job:
    """One task, inside the event loop of its call."""

    def __init__(self, task: _Task, stopped: Callable[[], bool]) -> None:
        self._task, self._stopped = task, stopped
        self.progress: Progress | None = None
        self.shown: Progress | None = None
        self._doubtful: list[Done] = []
        self._batch: list[Done] = []
        self._counts: Counter[str] = Counter()
        self._got = 0
        self._pace = task.pace
        self._ended = ""

    @property
    def name(self) -> str:
        return self._task.arm.name

    @property
    def server(self) -> str:
        return self._task.arm.base_url

    async def run(self, file: store.Store) -> None:
        task, samples = self._task, self._task.samples
        self._store = file
        self._run = file.begin(task.arm.name, task.arm.config(), samples.path.name, samples.sha256)
        first = [sample.data_index for sample in task] if task.limit else []
        self._wanted = (len(first) or samples.count) * task.trials
        kept = file.counts(self._run, task.trials, first[-1] if first else None)
        self._had = sum(kept.values()) - (kept.pop("failed", 0) if task.rerun_failed else 0)
        self._counts.update(kept)
        self._started = time.monotonic()
        try:
            await self._ask_all()
        finally:
            self._flush()
            file.forget_empty(self._run)
        file.finish(self._run)
        self.progress = self._snapshot()

    async def _ask_all(self) -> None:
        task, limits = self._task, self._task.limits
        async with Client(task.arm, connections=limits.concurrency, timeout_s=limits.timeout_s, key=task.key) as client:
            self._client = client
            work = self._work()
            first = next(work, None)
            if first is None:
                return
            await self._pace.wait()
            await client.hello()
            await self._drive([self._ask(*first)])  # alone: where it fails as all would, the others are not sent
            if not self._ended:
                await self._drive([self._worker(work) for _ in range(limits.concurrency)])
            self._settle()

    async def _drive(self, coroutines: Iterable[Coroutine[None, None, None]]) -> None:
        """Let them run to their end, a wish to stop, the deadline or the first error; write what they got meanwhile."""
        tasks = every = {asyncio.create_task(coroutine) for coroutine in coroutines}
        try:
            while tasks and not self._ended:
                done, tasks = await asyncio.wait(tasks, timeout=BATCH_S, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
                self._flush()
                if self._stopped():
                    self._ended = "interrupted"
                elif time.monotonic() - self._started > (self._task.limits.deadline_s or math.inf):
                    self._ended = "deadline"
        finally:
            for task in every:
                task.cancel()
            await asyncio.gather(*every, return_exceptions=True)  # other errors than the first are not reported

    def _work(self) -> Iterator[tuple[int, Prepared]]:
        """What is to be asked, ``(trial, request)``, looked up a chunk at a time."""
        for trial in range(self._task.trials):
            for chunk in _chunks(self._task, CHUNK):
                prepared = [self._task.arm.prepare(sample) for sample in chunk]
                taken = self._store.register(self._run, trial, prepared)
                self._counts.update(taken)
                self._had += taken.total()
                for item in self._store.missing(self._run, trial, prepared, rerun_failed=self._task.rerun_failed):
                    yield trial, item

    async def _worker(self, work: Iterator[tuple[int, Prepared]]) -> None:
        for trial, prepared in work:  # shared by all workers: each takes the next one
            await self._ask(trial, prepared)

    async def _ask(self, trial: int, prepared: Prepared) -> None:
        attempts: list[Attempt] = []
        while True:
            await self._pace.wait()
            attempts.append(await self._client.ask(prepared))
            failure = attempts[-1].failure
            if failure is None or not is_passing(failure) or len(attempts) > self._task.limits.retries:
                break
            await asyncio.sleep(wait_s(len(attempts), failure.retry_after_s))
        self._take(Done(data_index=prepared.data_index, trial=trial, attempts=tuple(attempts)))

    def _take(self, done: Done) -> None:
        """Keep a result; a row of failures that every request would share ends the run and is not kept.

        So does not what was cut off just before: it went down with the server.
        """
        failure = done.attempts[-1].failure
        self._doubtful.append(done)
        if failure is not None and (is_fatal(failure) or failure.kind == "disconnect"):
            many = len(self._doubtful) > 2 * self._task.limits.concurrency
            if is_fatal(failure) and (many or self._had + self._got == 0):
                raise EndpointError(self._client.explain(failure) + self._kept_note())
            if not many:
                return
        self._keep(self._doubtful)
        self._doubtful.clear()

    def _settle(self) -> None:
        """At the end: requests that were refused are failures of theirs, unless there is no server any more."""
        for done in self._doubtful:
            failure = done.attempts[-1].failure
            if failure is not None and failure.kind == "connect" and not self._ended:
                raise EndpointError(self._client.explain(failure) + self._kept_note())
        if not self._ended:
            self._keep(self._doubtful)

    def _keep(self, items: Iterable[Done]) -> None:
        for item in items:
            last = item.attempts[-1]
            self._counts["failed" if last.failure else str(last.finish_reason)] += 1
            self._batch.append(item)
            self._got += 1
        if len(self._batch) >= BATCH:
            self._flush()

    def _kept_note(self) -> str:
        kept = self._had + self._got
        return f"; {kept} of {self._wanted} results are kept, run it again to go on" if kept else ""

    def _flush(self) -> None:
        if self._batch:
            self._store.write(self._run, self._batch)
            self._batch.clear()
        self.progress = self._snapshot()

    def _snapshot(self) -> Progress:
        elapsed_s = time.monotonic() - self._started
        ended = self._ended if self._had + self._got < self._wanted else ""
        return Progress(
            wanted=self._wanted,
            had=self._had,
            got=self._got,
            elapsed_s=elapsed_s,
            counts=dict(self._counts),
            ended=ended,
        )


def _chunks(items: Iterable[Sample], size: int) -> Iterator[Sequence[Sample]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
