import csv
import json
import math
import re
from collections import defaultdict

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "data" / "published"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
DISAGREES = README.partition("## What does not agree")[2]
with (FOLDER / "results.csv").open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))

STOP, CALLS, OTHERS = "finish_stop", "finish_tool_calls", "finish_others"
ERRORS, GOOD = "schema_validation_error_count", "successful_tool_call_count"
COUNTS = (STOP, CALLS, OTHERS, ERRORS, GOOD)

# What the README says does not agree: (source, provider) and the setting, if any.
SUMS = {
    ("blog", "vLLM, before"): (3997, 4000),
    ("k2vv-2025-09-22-groq", "Groq"): (98, 99),
    ("k2vv-2025-10-10", "Groq"): (3754, 4000),
    ("k2vv-2025-10-10", "Fireworks"): (3997, 4000),
    ("k2vv-2025-10-10", "Together"): (3997, 4000),
    ("k2vv-2025-10-10", "Nebius"): (3997, 4000),
    ("k2vv-2025-10-10", "Chutes"): (3997, 4000),
    ("k2vv-2025-10-10", "AtlasCloud"): (3997, 4000),
}
SIMILARITIES = {
    ("k2vv-2025-09-22", "Fireworks"): ("0.9568", "0.9567"),
    ("k2vv-2025-09-22-groq", "Groq"): ("0.9265", "0.9266"),
}
F1_SCORES = {
    ("k2vv-2025-10-23", "Fireworks"): ("0.7968", "0.7965", "0.7972"),
    ("k2vv-2025-11-15", "Nebius"): ("0.5060", "0.5057", "0.5068"),
}


class Run(dict[str, str]):
    def __init__(self, row):
        super().__init__()
        self.source, self.model, self.requests = row["source"], row["model"], int(row["requests"])
        self.name = row["source"], ", ".join(filter(None, (row["provider"], row["setting"])))

    def has(self, *metrics):
        return all(metric in self for metric in metrics)

    def count(self, metric):
        return int(self[metric])


def _runs():
    runs = {}
    for row in ROWS:
        key = tuple(row[name] for name in ("source", "model", "provider", "api_source", "setting"))
        run = runs.setdefault(key, Run(row))
        assert row["metric"] not in run, row
        run[row["metric"]] = row["value"]
    return list(runs.values())


RUNS = _runs()


def _run(source, provider, model=None):
    (found,) = (run for run in RUNS if run.name == (source, provider) and run.has(CALLS) and model in (None, run.model))
    return found


def _percent(share):
    return f"{float(share):.2%}".replace("%", " %")


def test_every_value_is_a_count_or_a_share_and_every_source_has_one_date():
    requests = defaultdict(set)
    for row in ROWS:
        requests[row["source"]].add((row["date"], row["requests"]))
        if re.search("accuracy|f1|precision|recall|similarity|rate", row["metric"]):
            assert 0 <= float(row["value"]) <= 1, row
        elif row["metric"] != "improvement_factor":
            assert 0 <= int(row["value"]) <= int(row["requests"]), row
    assert all(len(pairs) == 1 for pairs in requests.values()), requests


def test_readme_explains_every_source_and_every_metric():
    for row in ROWS:
        assert f"| `{row['source']}` | {row['date']} | {int(row['requests']):,} |" in README
        assert f"`{row['metric']}`" in README


def test_every_source_has_the_address_that_the_readme_gives():
    sources = json.loads((FOLDER / "sources.json").read_text(encoding="utf-8"))
    assert set(sources) == {row["source"] for row in ROWS}
    for name, told in sources.items():
        assert told["url"] in next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
        for model, settings in told.get("settings", {}).items():
            assert all(f"{key} {value}" in README for key, value in settings.items()), model


def test_finish_reasons_add_up_to_the_requests_except_where_the_readme_says():
    found = {}
    for run in (run for run in RUNS if run.has(STOP, CALLS, OTHERS)):
        total = run.count(STOP) + run.count(CALLS) + run.count(OTHERS)
        if total != run.requests:
            found[run.name] = total, run.requests
    assert found == SUMS
    for (source, provider), (total, requests) in SUMS.items():
        assert f"| {source} | {provider} | {total:,} | {requests:,} |" in DISAGREES


def test_errors_and_successes_add_up_to_the_calls_in_every_run():
    runs = [run for run in RUNS if run.has(CALLS, ERRORS, GOOD)]
    assert len(runs) == 30
    for run in runs:
        assert run.count(ERRORS) + run.count(GOOD) == run.count(CALLS), run.name


def test_schema_accuracy_is_successful_over_all_calls_to_the_printed_digit():
    runs = [run for run in RUNS if run.has("schema_accuracy")]
    assert len(runs) == 50
    for run in runs:
        assert run["schema_accuracy"] == f"{run.count(GOOD) / run.count(CALLS):.4f}", run.name


def test_similarity_follows_from_the_counts_except_where_the_readme_says():
    found = {}
    for run in (run for run in RUNS if run.has("similarity")):
        reference = _run(run.source.removesuffix("-groq"), "MoonshotAI")
        answered = sum(run.count(metric) for metric in (STOP, CALLS, OTHERS))
        scale = reference.requests / answered if run.requests != reference.requests else 1
        distance = math.dist([run.count(m) * scale for m in COUNTS], [reference.count(m) for m in COUNTS])
        computed = f"{1 - distance / reference.requests:.4f}"
        if computed != run["similarity"]:
            found[run.name] = run["similarity"], computed
    assert found == SIMILARITIES
    for (source, provider), (printed, computed) in SIMILARITIES.items():
        assert f"| {source} | {provider} | similarity | {_percent(printed)} | {_percent(computed)}" in DISAGREES


def _f1(both, calls, reference):
    return f"{2 * both / (calls + reference):.4f}"


def test_f1_can_come_from_whole_counts_except_where_the_readme_says():
    found = {}
    for run in (run for run in RUNS if run.has("tool_call_f1", CALLS) and run.source != "blog"):
        calls, reference = run.count(CALLS), _run(run.source, "MoonshotAI", run.model).count(CALLS)
        below = int(float(run["tool_call_f1"]) * (calls + reference) / 2)
        nearest = [_f1(both, calls, reference) for both in (below, below + 1)]
        if run["tool_call_f1"] not in nearest:
            found[run.name] = run["tool_call_f1"], *nearest
            assert run["tool_call_f1"] in [_f1(both, calls, 1273) for both in (below - 1, below, below + 1)]
    assert found == F1_SCORES
    for (source, provider), (printed, low, high) in F1_SCORES.items():
        line = f"| {source} | {provider} | tool_call_f1 | {_percent(printed)} | {_percent(low)} or {_percent(high)} |"
        assert line in DISAGREES


def _blog(setting):
    (found,) = (run for run in RUNS if run.name == ("blog", f"vLLM, {setting}"))
    return found


def test_blogs_two_accounts_of_the_run_after_differ_as_the_readme_says():
    before, table, prose = _blog("before"), _blog("after, table"), _blog("after, prose")
    assert (table.count(GOOD), prose.count(GOOD)) == (1007, 971)
    assert (table.count(ERRORS), prose.count(ERRORS)) == (318, 316)
    assert (table.count(CALLS), prose.count(GOOD) + prose.count(ERRORS)) == (1325, 1287)
    told, tabled = (run.count(GOOD) / before.count(GOOD) for run in (prose, table))
    assert math.floor(told * 10) / 10 == float(prose["improvement_factor"])
    assert (f"{told:.1f}", f"{told:.2f}", f"{tabled:.2f}") == ("4.5", "4.45", "4.62")
    assert table.count("success_count") / table.requests == float(table["success_rate"])
    assert before.count(GOOD) / before.count("potential_tool_calls_over") < float(before["success_rate_below"])


def test_blogs_precision_and_recall_name_the_reference_of_the_later_tables_not_of_its_first():
    table = _blog("after, table")
    calls = table.count(CALLS)
    fits = [
        (both, reference)
        for both in range(1, calls + 1)
        if f"{both / calls:.4f}" == table["tool_call_precision"]
        for reference in range(both, table.requests + 1)
        if f"{both / reference:.4f}" == table["tool_call_recall"]
    ]
    assert fits == [(1086, 1274)] and _f1(1086, calls, 1274) == table["tool_call_f1"]
    model = "kimi-k2-0905-preview"
    dates = ("2025-10-10", "2025-10-23", "2025-11-15")
    assert [_run(f"k2vv-{date}", "MoonshotAI", model).count(CALLS) for date in dates] == [1286, 1274, 1274]
    first = [dict(run) for run in RUNS if run.name == ("blog", "MoonshotAI")]
    listed = [_run("k2vv-2025-10-10", provider) for provider in ("MoonshotAI", "Moonshot AI Turbo")]
    assert first == [{metric: run[metric] for metric in COUNTS} for run in listed]


@pytest.mark.parametrize("provider", ["vLLM", "SGLang"])
def test_two_rows_of_october_stand_unchanged_in_november(provider):
    october, november = (
        _run(f"k2vv-{date}", provider, "kimi-k2-0905-preview") for date in ("2025-10-23", "2025-11-15")
    )
    assert dict(october) == dict(november)
    if provider == "vLLM":
        assert {m: _blog("after, table")[m] for m in (CALLS, GOOD, "schema_accuracy")}.items() <= october.items()
