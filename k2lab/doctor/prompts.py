"""Experiments on the prompt: its ids where the server shows them, else how many it counts."""

from __future__ import annotations

from collections.abc import Iterator

from k2lab.doctor import goldencounts
from k2lab.doctor.experiments import Experiment
from k2lab.doctor.goldencounts import Fit, Sample, Seen
from k2lab.doctor.patient import Patient
from k2lab.errors import UnsupportedError
from k2lab.findings import Finding
from k2lab.prompt.source import Source
from k2lab.server import probes

LONGEST_PROMPT = 20_000
"""Ids of a prompt of ours, at most; a server that shows more does not show ours."""

NO_SOURCE = "the right prompt is not known: name the model's own folder with --source"
NAMES = (*goldencounts.FAULTS, "thinking_switch_ignored")


def _run(patient: Patient) -> Iterator[Finding]:
    source = patient.source
    if source is None or source.tokenizer is None:
        raise UnsupportedError(NO_SOURCE if source is None else f"{source.spec} has no tokenizer: {NO_SOURCE}")
    samples = goldencounts.samples_of(patient.family)
    shown = patient.prompt_ids(samples[0].request).ids
    found_by = [_shown(patient, sample) if shown else _counted(patient, sample) for sample in samples]
    ways = dict.fromkeys(how for _, how in found_by)
    found = goldencounts.fit(source, samples, [seen for seen, _ in found_by], by=" and ".join(ways))
    explained = goldencounts.of_fit(found)
    yield from explained
    if shown and not found.ways:
        yield from _of_ids(patient, source, samples, found)


def _shown(patient: Patient, sample: Sample) -> tuple[Seen, str]:
    """The ids, or how many tokens are counted where a way to them would leave something of the request out."""
    found = patient.prompt_ids(sample.request)
    if found.ids is None:
        return _counted(patient, sample)
    if len(found.ids) > LONGEST_PROMPT:
        raise UnsupportedError(f"the server shows a prompt of {len(found.ids)} ids for a short request: it is not ours")
    return found.ids, found.how


def _counted(patient: Patient, sample: Sample) -> tuple[Seen, str]:
    usage = patient.chat(sample.request, max_tokens=1).usage
    count = usage.get("prompt_tokens")
    if type(count) is not int or not 0 < count <= LONGEST_PROMPT:
        raise UnsupportedError(
            f"the server shows no ids of its prompt, and counts no tokens: prompt_tokens is {count!r:.40}"
        )
    return count, "usage.prompt_tokens"


def _of_ids(patient: Patient, source: Source, samples: tuple[Sample, ...], found: Fit) -> Iterator[Finding]:
    """What the ids of one prompt show by themselves, where no way explains them all."""
    history = next(sample for sample in samples if sample.name == "empty content")
    yield from probes.probe(patient.endpoint, source, history.request)


PROMPT = Experiment(
    name="prompt",
    asks="the prompts of a few short conversations: their ids, or how many tokens they have",
    names=NAMES[:-1],
    requests=30,
    run=_run,
)
