"""Releases in their order, and what changed from one to the next."""

import pytest

from k2lab import engine
from k2lab.doctor import releases
from k2lab.doctor.releases import Known

LOST, FED, RIGHT = Known(word="lost", right=0), Known(word="lost at 7 tokens", right=1), Known(word="right", right=2)


@pytest.mark.parametrize(
    ("states", "kinds"),
    [
        ([LOST, LOST, LOST], []),
        ([LOST, RIGHT, RIGHT], [("0.11.1", "mended")]),
        ([RIGHT, LOST, RIGHT], [("0.11.1", "came"), ("0.13.0", "mended")]),
        ([LOST, RIGHT, FED], [("0.11.1", "mended"), ("0.13.0", "came back")]),
        ([LOST, FED, LOST], [("0.11.1", "partly mended"), ("0.13.0", "worse")]),
        ([LOST, Known(word="leaked", right=0), LOST], [("0.11.1", "changed"), ("0.13.0", "changed")]),
    ],
)
def test_what_changed_from_one_release_to_the_next(states, kinds):
    known = dict(zip(["0.13.0", "0.11.0", "0.11.1"], [states[2], states[0], states[1]], strict=True))
    assert [(change.after, change.kind) for change in releases.changes(known)] == kinds


def test_a_change_names_what_was_not_asked_in_between():
    (change,) = releases.changes({"0.11.0": LOST, "0.13.0": RIGHT, "this": LOST, "/usr/bin/python": RIGHT})
    assert (change.before, change.after, change.was, change.now) == ("0.11.0", "0.13.0", "lost", "right")
    assert change.locked == ("0.11.1",) and change.others == ("0.11.2", "0.12.0")
    assert change.to_json()["locked"] == ("0.11.1",)


def test_each_lock_is_of_a_published_release_and_these_are_in_order():
    assert set(engine.versions()) <= set(releases.PUBLISHED)
    assert releases.in_order(reversed(releases.PUBLISHED)) == list(releases.PUBLISHED)
