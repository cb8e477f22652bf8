"""How long answers took: percentiles, and what of it a stream alone can tell."""

import random
import statistics
from dataclasses import replace

import pytest

from k2lab.bench import store
from k2lab.bench.judged import judge_all
from k2lab.bench.timing import Percentiles, timed, timed_arms
from k2lab.errors import InputError
from k2lab.notebook import ladder
from k2lab.notebook.questions import Questions
from k2lab.server.endpoint import Endpoint
from tests.helpers.stub_server import stub


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    asked = Questions.of("own", out=str(tmp_path_factory.mktemp("timed")), requests=8)
    with stub() as server:
        made = ladder.climb_on(Endpoint(server.url, "m"), ladder.REPAIRED, asked, show=lambda name, progress: None)
    return asked, made


def test_percentiles_are_in_proportion_between_two_times():
    hundred = Percentiles.of(random.Random(1).sample(range(101), 101))
    assert (hundred.count, hundred.p50, hundred.p90, hundred.p95, hundred.p99) == (101, 50, 90, 95, 99)
    assert Percentiles.of([7.0]) == Percentiles(count=1, p50=7.0, p90=7.0, p95=7.0, p99=7.0)
    assert Percentiles.of([]) is None


def test_an_arm_of_a_file_has_the_times_of_its_answers(climbed):
    asked, made = climbed
    arms = timed_arms(asked.answers)
    assert arms == made.timed() and [*arms] == ["as sent", "history repaired"]
    with store.reading(asked.answers) as kept:
        results = list(judge_all(kept.results(kept.run_of("as sent"))))
    whole = arms["as sent"].whole
    assert whole.count == len(results) == 8
    assert whole.p50 == pytest.approx(statistics.median(result.duration_ms for result in results))
    assert whole.p50 <= whole.p90 <= whole.p95 <= whole.p99 <= max(result.duration_ms for result in results)
    assert [*timed_arms(asked.answers, ["as sent"])] == ["as sent"]
    with pytest.raises(InputError, match="no arm 'x'"):
        timed_arms(asked.answers, ["x"])


def test_time_per_token_is_what_follows_the_first(climbed):
    one = replace(climbed[1].judged["as sent"][0], answered=True)
    streamed = replace(one, duration_ms=110.0, first_ms=10.0, completion_tokens=11)
    made = timed([streamed, replace(streamed, completion_tokens=1), replace(one, first_ms=None)])
    assert made.per_token == Percentiles.of([10.0]) and made.first.count == 2 and made.whole.count == 3


def test_a_failed_request_has_no_time_and_is_not_forgotten_in_the_share(climbed):
    one = climbed[1].judged["as sent"][0]
    made = timed([replace(one, answered=False, finish_reason=None)])
    assert made.whole is made.first is made.per_token is None and made.valid.total == 0
