from hypothesis import given
from hypothesis import strategies as st

from k2lab.notebook.schedule import plan

SERVERS = st.lists(st.sampled_from("abcdefg"), unique=True, max_size=5)
NEEDS = st.lists(SERVERS, max_size=7).map(lambda sets: [(f"notebook {i}", servers) for i, servers in enumerate(sets)])


def servers_at_once(steps):
    """How many servers are alive while each notebook runs."""
    counts, alive = {}, 0
    for step in steps:
        alive += len(step.starts)
        counts[step.notebook] = alive
        alive -= len(step.ends)
    return counts


def kept(needs, place):
    """Servers that a notebook needs, or that one before it and one after it need."""
    before = {server for _, servers in needs[: place + 1] for server in servers}
    after = {server for _, servers in needs[place:] for server in servers}
    return before & after


@given(NEEDS, st.integers(1, 8))
def test_each_server_is_up_before_its_first_use_ended_after_its_last_and_started_once(needs, at_once):
    steps = plan(needs, at_once=at_once)
    assert [step.notebook for step in steps] == [name for name, _ in needs]
    alive, started = set(), []
    for place, (step, (_, servers)) in enumerate(zip(steps, needs, strict=True)):
        started += step.starts
        alive |= set(step.starts)
        assert set(step.needs) == set(servers) <= alive
        assert set(step.ends) == {
            server for server in servers if server not in {s for _, n in needs[place + 1 :] for s in n}
        }
        alive -= set(step.ends)
    assert not alive and len(started) == len(set(started)) and set(started) == {s for _, n in needs for s in n}


@given(NEEDS, st.integers(1, 8))
def test_no_more_are_alive_than_allowed_unless_those_in_use_are_more(needs, at_once):
    counts = servers_at_once(plan(needs, at_once=at_once))
    for place, (name, _) in enumerate(needs):
        assert counts[name] <= max(at_once, len(kept(needs, place)))


@given(NEEDS, st.integers(1, 8))
def test_a_place_that_is_free_is_used_for_the_server_that_is_needed_next(needs, at_once):
    steps = plan(needs, at_once=at_once)
    counts = servers_at_once(steps)
    for place, step in enumerate(steps):
        later = [server for after in steps[place + 1 :] for server in after.starts]
        assert not later or counts[step.notebook] >= at_once
    order = list(dict.fromkeys(server for _, servers in needs for server in servers))
    assert [server for step in steps for server in step.starts] == order


def test_the_next_server_comes_up_while_the_notebook_before_runs():
    first, second = plan([("one", ["x"]), ("two", ["x", "y"])], at_once=2)
    assert (first.starts, first.ends, second.starts, second.ends) == (("x", "y"), (), (), ("x", "y"))
