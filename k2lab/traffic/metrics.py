"""The counters of a proxy, as Prometheus reads them; no label holds what a client chose."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from http import HTTPStatus
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from k2lab.traffic.exchanges import Changed, Ending

KNOWN = frozenset(["0", *(str(int(status)) for status in HTTPStatus)])
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
ADDED = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class Recorded(Protocol):
    """What a recorder counts: exchanges written, not written, left out since too many waited; bytes; findings."""

    @property
    def written(self) -> int:
        """Exchanges that are safe."""

    @property
    def failed(self) -> int:
        """Exchanges that could not be written."""

    @property
    def dropped(self) -> int:
        """Exchanges that were left out, since the recorder was behind."""

    @property
    def left_out(self) -> int:
        """Exchanges that the sample left out."""

    @property
    def unlooked(self) -> int:
        """Exchanges that there was no time to look at."""

    @property
    def bytes(self) -> int:
        """Bytes that were written."""

    @property
    def findings(self) -> Mapping[tuple[str, str], int]:
        """Findings by code and layer."""


class Metrics:
    """Counters, gauges and histograms of one proxy, in a registry of their own."""

    def __init__(self) -> None:
        # a second series for each counter, which nothing reads
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "k2lab_proxy_requests", "Requests, by class of path, status of the answer (0: none was given) and how they"
            " ended", ("path", "status", "ended"), registry=registry)  # fmt: skip
        self.upstream = _Times(
            "k2lab_proxy_upstream_seconds",
            "From a request's last byte to the last byte of the upstream's answer",
            SECONDS,
        )
        self.first = _Times(
            "k2lab_proxy_first_byte_seconds", "From a request's last byte to the first byte of the upstream's answer",
            SECONDS)  # fmt: skip
        self.added = _Times(
            "k2lab_proxy_added_seconds", "What the proxy took of its own, the wait for the record included", ADDED
        )
        for times in (self.upstream, self.first, self.added):
            registry.register(times)
        self._changes = Counter(
            "k2lab_proxy_changes", "What the guard changed, by kind and finding", ("kind", "code"), registry=registry
        )
        self._faults = Counter(
            "k2lab_proxy_guard_faults", "Requests and answers that the guard could not read through a fault of its own",
            registry=registry)  # fmt: skip
        self._late = Counter(
            "k2lab_proxy_record_late", "Answers that were given before the record had them, since it took too long",
            registry=registry)  # fmt: skip
        self._lost = Counter(
            "k2lab_proxy_record_refused", "Exchanges that the recorder did not take", registry=registry
        )
        self._ended = cache(self._requests.labels)
        self.open_requests = self.open_streams = 0
        for name, about in (("requests", "Requests that are open"), ("streams", "Streamed answers that are open")):
            gauge = Gauge(f"k2lab_proxy_open_{name}", about, registry=registry)
            gauge.set_function(partial(getattr, self, f"open_{name}"))

    def watch(self, recorder: Recorded) -> None:
        """Show a recorder's own counters, too."""
        self._registry.register(_Record(recorder))

    def passed(
        self, kind: str, status: int, ended: Ending, *,
        upstream_s: float, added_s: float, first_s: float | None, changes: Iterable[Changed],
    ) -> None:  # fmt: skip
        """Count an exchange; ``kind`` is its class of path, ``upstream_s`` is 0 where the upstream was not asked."""
        said = str(status)
        self._ended(kind, said if said in KNOWN else "other", ended).inc()
        if upstream_s:
            self.upstream.observe(kind, upstream_s)
            self.added.observe(kind, added_s)
        if first_s is not None:
            self.first.observe(kind, first_s)
        for change in changes:
            self._changes.labels(change.kind, change.code).inc()

    def refused(self, status: int) -> None:
        """Count a request that was not let in."""
        self._ended("other", str(status), "refused").inc()

    def guard_failed(self) -> None:
        """Count a fault of the guard."""
        self._faults.inc()

    def record_late(self) -> None:
        """Count an answer that did not wait for the record to the end."""
        self._late.inc()

    def record_refused(self) -> None:
        """Count an exchange that the recorder did not take."""
        self._lost.inc()

    def shown(self, accept: str) -> tuple[bytes, str]:
        """All of it as text, in the form that is accepted, and its content type."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type


class _Times:
    """A histogram by class of path; counting costs a tenth of what the library's costs, which locks three times."""

    def __init__(self, name: str, about: str, bounds: Sequence[float]) -> None:
        self._name, self._about, self._bounds = name, about, bounds
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, kind: str, seconds: float) -> None:
        """Count a time."""
        if kind not in self._counts:
            self._counts[kind], self._sums[kind] = [0] * (len(self._bounds) + 1), 0.0
        self._counts[kind][bisect_left(self._bounds, seconds)] += 1
        self._sums[kind] += seconds

    def collect(self) -> Iterator[Metric]:
        """The family, its buckets adding up."""
        family = HistogramMetricFamily(self._name, self._about, labels=("path",))
        for kind, counts in self._counts.items():
            names = [*map(floatToGoString, self._bounds), "+Inf"]
            buckets = [*zip(names, accumulate(counts), strict=True)]
            family.add_metric((kind,), buckets, self._sums[kind])
        yield family


class _Record:
    """A recorder's counters at the moment they are asked for."""

    def __init__(self, recorder: Recorded) -> None:
        self._recorder = recorder

    def collect(self) -> Iterator[Metric]:
        """Each as a family of its own."""
        recorder = self._recorder
        for name, value, about in (
            ("written", recorder.written, "Exchanges that are safe in the record"),
            ("failed", recorder.failed, "Exchanges that could not be written into the record"),
            ("dropped", recorder.dropped, "Exchanges that were left out of the record, since it was behind"),
            ("left_out", recorder.left_out, "Exchanges that the sample left out of the record"),
            ("unlooked", recorder.unlooked, "Exchanges that there was no time to look at for findings"),
            ("bytes", recorder.bytes, "Bytes that were written into the record"),
        ):
            yield CounterMetricFamily(f"k2lab_proxy_record_{name}", about, value=value)
        findings = CounterMetricFamily(
            "k2lab_proxy_findings", "Findings in what passed, by code and layer", labels=("code", "layer")
        )
        for labels, count in sorted(recorder.findings.items()):
            findings.add_metric(labels, count)
        yield findings
