"""What the pinned tag costs: completion tokens a second beside a free server, in turns on one vLLM 0.32.0.

Run by ``make enforce-speed``. The requests are those of k2-nano's set whose free answer is valid, so that both arms
write the same tokens. ``distinct``: each with a tool list of its own, so that each needs a grammar of its own.
``repeated``: a few conversations again and again, as the turns of agents do, whose grammars are compiled once.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from k2lab import engine
from k2lab.bench import runner, samples, store
from k2lab.bench.arm import Arm
from k2lab.bench.metrics import usage
from k2lab.bench.runner import Limits
from k2lab.bench.verdicts import judge_all
from k2lab.ladder import MAX_CALLS, MAX_STRING
from k2lab.nano import folders

ENGINE = "0.32.0"
NO_CACHE = ("--no-enable-prefix-caching",)
"""Otherwise the arm that comes second finds its prompts half computed."""
SEVERAL = 20


def once(folder, lines, arm, concurrency, name):
    """Ask every line; returns completion tokens and seconds."""
    asked, out = folder / f"{name}.jsonl", folder / f"{name}.db"
    asked.write_text("".join(lines))
    went = runner.run(samples.open_samples(asked), arm, out, limits=Limits(concurrency=concurrency))
    with store.reading(out) as file:
        found = list(judge_all(file.results(file.run_of(arm.name))))
    out.unlink()
    return found, usage(found)["completion_tokens"], went.elapsed_s


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=32)
    options = parser.parse_args()
    found = engine.resolve(ENGINE)
    served = engine.serving(found.python, ENGINE, folders.assemble("current"), flags=[*found.flags, *NO_CACHE])
    with tempfile.TemporaryDirectory() as name, served as server:
        folder, url = Path(name), server.base_url
        arms = {
            "off": Arm("off", url, "k2-nano", repair="ids"),
            "pinned": Arm(
                "pinned", url, "k2-nano", repair="ids", enforce="pinned", max_calls=MAX_CALLS, max_string=MAX_STRING
            ),
        }
        path, _ = samples.write_nano(folder / "set", options.requests)
        lines = path.read_text().splitlines(keepends=True)
        free, _, _ = once(folder, lines, arms["off"], options.concurrency, "first")
        valid = [lines[item.data_index - 1] for item in free if not item.verdict.calls or item.verdict.sound]
        calling = [lines[item.data_index - 1] for item in free if item.verdict.sound][:SEVERAL]
        sets = {"distinct": valid, "repeated": calling * (len(valid) // len(calling))}
        for kind, chosen in sets.items():
            rates = {arm: [] for arm in arms}
            tokens = {}
            for number in range(options.rounds):
                for arm in arms if number % 2 == 0 else reversed(arms):
                    _, tokens[arm], seconds = once(folder, chosen, arms[arm], options.concurrency, f"{kind}-{arm}")
                    rates[arm].append(tokens[arm] / seconds)
            ratios = [b / a for a, b in zip(rates["off"], rates["pinned"], strict=True)]
            print(
                f"{kind:9} {len(chosen)} requests, tokens {tokens['off']} off, {tokens['pinned']} pinned;"
                f" tokens/s {statistics.median(rates['off']):.0f} off, {statistics.median(rates['pinned']):.0f} pinned;"
                f" ratio median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
