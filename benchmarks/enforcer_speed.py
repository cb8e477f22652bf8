"""What the pinned tag costs: completion tokens a second beside a free server and a tag that holds nothing, in turns.

Run by ``make enforce-speed``, on one vLLM 0.32.0. The requests are those of k2-nano's set whose free answer is valid,
so that all arms write the same tokens. ``distinct``: each with a tool list of its own that the server has not seen, so
that each needs a grammar of its own. ``repeated``: a few conversations again and again, as the turns of agents do.
Then the same requests one at a time, each sent twice in a row: a grammar that is compiled once costs nothing again.

Beside tokens a second stand CPU milliseconds of a request, the server's and ours: on cores that all share they tell
what the tag costs even where something else runs at the same time.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

import psutil

from k2lab import engine
from k2lab.bench import runner, samples, store
from k2lab.bench.arm import Arm
from k2lab.bench.judged import judge_all
from k2lab.bench.limits import Limits
from k2lab.bench.metrics import usage
from k2lab.nano import benchmark, folders
from k2lab.notebook.ladder import BOUNDS

ENGINE = "0.32.0"
NO_CACHE = ("--no-enable-prefix-caching",)
"""Otherwise the arm that comes second finds its prompts half computed."""
SEVERAL = 20
ANYTHING = json.dumps({"type": "structural_tag", "format": {"type": "any_text"}})
"""A tag that holds nothing: what the engine asks for any, compiled once."""


class Bench:
    """The arms on one server."""

    def __init__(self, folder, server, concurrency):
        self.folder, self.concurrency, url = folder, concurrency, server.base_url
        self.processes = psutil.Process(server.server_pid), psutil.Process(os.getpid())
        tag = {"enforce": "pinned", "tag": BOUNDS}
        floor = {"extra_body": {"structured_outputs": {"structural_tag": ANYTHING}}}
        self.arms = {
            name: Arm(name=name, base_url=url, model="k2-nano", repair="ids", **more)
            for name, more in (("off", {}), ("any text", floor), ("pinned", tag))
        }

    def ask(self, lines, arm, concurrency=None):
        """Every line asked afresh: the judged results, and seconds."""
        asked, out = self.folder / "asked.jsonl", self.folder / "run.db"
        asked.write_text("".join(lines))
        limits = Limits(concurrency=concurrency or self.concurrency)
        went = runner.run_benchmark(samples.open_samples(asked), self.arms[arm], out, limits=limits)
        with store.reading(out) as file:
            found = list(judge_all(file.results(file.run_of(arm))))
        out.unlink()
        assert all(item.answered for item in found)
        return found, went.elapsed_s

    def in_turns(self, kind, parts):
        """Each part through all arms, the first of which changes: tokens a second, beside the free arm's, and CPU."""
        rates, tokens = {arm: [] for arm in self.arms}, dict.fromkeys(self.arms, 0)
        cpu = {arm: [] for arm in self.arms}
        for number, lines in enumerate(parts):
            for arm in self.arms if number % 2 == 0 else reversed(self.arms):
                before = self.cpu()
                found, seconds = self.ask(lines, arm)
                cpu[arm].append([1000 * (b - a) / len(lines) for a, b in zip(before, self.cpu(), strict=True)])
                made = usage(found)["completion_tokens"]
                tokens[arm] += made
                rates[arm].append(made / seconds)
        print(f"{kind}: {sum(map(len, parts))} requests in {len(parts)} rounds", flush=True)
        for arm in self.arms:
            ratios = [b / a for a, b in zip(rates["off"], rates[arm], strict=True)]
            server, ours = (statistics.median(values) for values in zip(*cpu[arm], strict=True))
            print(
                f"  {arm:9} {tokens[arm]} tokens, {statistics.median(rates[arm]):.0f} a second;"
                f" beside off median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f};"
                f" CPU ms a request: server {server:.1f}, ours {ours:.1f}",
                flush=True,
            )

    def cpu(self):
        """CPU seconds so far: of the server with its children, and of this process."""
        server, ours = self.processes
        times = [one.cpu_times() for one in (server, *server.children(recursive=True))]
        return sum(one.user + one.system for one in times), sum(ours.cpu_times()[:2])

    def twice(self, lines):
        """Each request sent twice in a row, nothing else at the same time: median milliseconds of first and second."""
        for arm in self.arms:
            found, _ = self.ask([line for line in lines for _ in range(2)], arm, concurrency=1)
            first, second = ([item.duration_ms for item in found][place::2] for place in (0, 1))
            print(
                f"{arm:9} first {statistics.median(first):.0f} ms, again {statistics.median(second):.0f} ms", flush=True
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=600, help="of each round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=32)
    options = parser.parse_args()
    found = engine.resolve(ENGINE)
    served = engine.serving(found.python, ENGINE, folders.assemble("current"), flags=[*found.flags, *NO_CACHE])
    with tempfile.TemporaryDirectory() as name, served as server:
        bench = Bench(Path(name), server, options.concurrency)
        path, _ = benchmark.write(Path(name) / "set", options.requests * (options.rounds + 1))
        lines = path.read_text().splitlines(keepends=True)
        free, _ = bench.ask(lines, "off")
        sound = {item.data_index for item in free if item.verdict.sound}
        valid = sound | {item.data_index for item in free if not item.verdict.calls}
        parts = [
            [lines[index - 1] for index in range(start + 1, start + options.requests + 1) if index in valid]
            for start in range(0, len(lines), options.requests)
        ]
        bench.in_turns("distinct", parts[:-1])
        unseen = [lines[index - 1] for index in sorted(sound) if index > options.requests * options.rounds]
        bench.twice(unseen[:SEVERAL])
        several = unseen[SEVERAL : 2 * SEVERAL] * (options.requests // SEVERAL)
        bench.in_turns("repeated", [several] * options.rounds)


if __name__ == "__main__":
    main()
