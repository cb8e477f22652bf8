"""The published figures as the notebook shows them."""

from k2lab.notebook import published


def test_the_blogs_runs_have_their_four_counts():
    blog = published.blog()
    assert list(blog.columns) == published.COUNTS
    before = blog.xs("before", level="setting").iloc[0]
    assert before["successful_tool_call_count"] == 218 and blog.notna().any(axis=None)


def test_vendors_come_most_accurate_first():
    accuracy = published.vendors()["schema_accuracy"]
    assert accuracy.is_monotonic_decreasing and {"MoonshotAI", "vLLM"} <= set(accuracy.index)


def test_the_blogs_successes_are_before_and_after_by_its_table_and_by_its_text():
    successes = published.successes()
    assert [(run.count, run.requests, run.wanted, run.at_least) for run in successes.values()] == [
        (218, 4000, 1200, True),
        (1007, 4000, 1274, False),
        (971, 4000, 1274, False),
    ]
    assert [name.partition(",")[0] for name in successes] == ["before the fixes", *["after the fixes"] * 2]
    assert "971" in published.NOTE and "1,007" in published.NOTE and successes.popitem()[1].of_requests.low > 0.22
