"""What the arms of a benchmark notebook are asked, and against what their answers are held."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from k2lab import paths
from k2lab.bench import k2vv, samples
from k2lab.bench.metrics import Reference
from k2lab.bench.samples import Samples
from k2lab.nano import benchmark


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """Requests, how many of them are asked, their labels or official results, and the file that keeps the answers."""

    samples: Samples
    limit: int
    answers: Path
    reference: Mapping[int, Reference] | None = field(default=None, repr=False)
    kinds: Mapping[str, int] = field(default_factory=dict)
    """How often each kind of answer is the right one; empty for samples that are not k2-nano's."""

    @classmethod
    def of(cls, name: str, *, out: str, requests: int, samples_file: str = "", reference_file: str = "") -> Questions:
        """k2-nano's own set with its labels, or a samples file with its reference where there is one.

        ``name`` is the notebook's, ``out`` a folder that keeps its answers; a temporary one where empty.
        Raises :class:`~k2lab.errors.InputError` for a file that is not of K2VV's form.
        """
        folder = paths.results_dir(out)
        answers = folder / f"{name}.db"
        if samples_file:
            known = k2vv.reference(Path(reference_file)) if reference_file else None
            return cls(samples=samples.open_samples(samples_file), limit=requests, answers=answers, reference=known)
        asked, labels = benchmark.write(folder, max(requests, 1))
        return cls(
            samples=samples.open_samples(asked),
            limit=requests,
            answers=answers,
            reference=k2vv.reference(Path(reference_file or labels)),
            kinds=_kinds(labels),
        )

    @property
    def facts(self) -> dict[str, object]:
        """What is asked, fact by fact."""
        right = {f"right answer: {kind}": count for kind, count in self.kinds.items()}
        return {"requests": self.samples.count, "samples, sha256": self.samples.sha256, **right}


def _kinds(labels: Path) -> dict[str, int]:
    with labels.open(encoding="utf-8") as lines:
        return dict(Counter(str(json.loads(line)["kind"]) for line in lines).most_common())
