"""``python -m tests.fuzz [SUBJECT...] --minutes M --seed N``: try subjects in turn, and say what repeats a failure."""

from __future__ import annotations

import itertools
import sys
import time

import click

from tests.fuzz import frame


@click.command()
@click.argument("names", nargs=-1, metavar="[SUBJECT]...")
@click.option("--minutes", type=float, default=1.0, show_default=True, help="For all subjects together.")
@click.option("--seed", type=int, default=None, help="The first seed of each subject; by default by the clock.")
@click.option("--tries", type=int, default=None, help="At most so many tries of each subject.")
def fuzz(names: tuple[str, ...], minutes: float, seed: int | None, tries: int | None) -> None:
    """Try SUBJECTS (all, where none is named) until the minutes are over."""
    known = frame.subjects()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"no subject {', '.join(unknown)}: there is {', '.join(known)}")
    chosen = names or tuple(known)
    first = time.time_ns() // 1000 % 10**9 if seed is None else seed
    bad = 0
    for name in chosen:
        until = time.monotonic() + minutes * 60 / len(chosen)
        seeds = itertools.islice(itertools.count(first), tries)
        outcome = frame.tried(known[name], seeds, until=until)
        for failed, told in outcome.failures.items():
            click.echo(f"\n{told}to repeat it: python -m tests.fuzz {name} --seed {failed} --tries 1")
        bad += len(outcome.failures)
        click.echo(f"{name}: {outcome.tries} tries from seed {first} in {outcome.seconds:.0f} s,"
                   f" {len(outcome.failures)} failed")  # fmt: skip
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    fuzz()
