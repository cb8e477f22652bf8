"""The seeds that are kept of each subject of the fuzz, once more."""

import pytest

from tests.fuzz import frame


@pytest.mark.long
@pytest.mark.parametrize("name", frame.subjects())
def test_what_is_hostile_ends_in_one_line(name):
    subject = frame.subjects()[name]
    outcome = frame.tried(subject, subject.KEPT, most=3)
    assert not outcome.failures, "\n".join(
        f"{told}\nto repeat it: python -m tests.fuzz {name} --seed {seed} --tries 1"
        for seed, told in outcome.failures.items()
    )
