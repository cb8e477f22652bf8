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
