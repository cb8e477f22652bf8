"""How fast the benchmark's runner is, and how much memory it takes, beside other clients of the same server.

All send the same requests, about 1 kB with one tool each, 64 at once, to one stub (tests/helpers/stub_server.py) that
answers each with a tool call after 20 ms. Each measurement is a fresh process; rounds are interleaved. All run on
uvloop's event loop, as k2lab does.

Time is from the first request to the last, imports and a first request left out; for k2lab it is everything from
opening the samples file to the last result on disk. K2-Vendor-Verifier's runner, where somebody has it (its
tool_calls_eval.py, and an interpreter with its requirements), runs as the command that it is: its time is that of all
requests less that of a run with one. Memory is the peak RSS of the client's process, start included, as the kernel
counts it (``os.wait4``, so not on Windows).
"""

import argparse
import asyncio
import contextlib
import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

ROOT = Path(__file__).resolve().parents[1]
CONCURRENCY, DELAY_MS, BYTES = 64, 20, 1024
K2LAB, K2VV = "k2lab", "K2-Vendor-Verifier"
K2VV_PLACES = ("tool_calls_eval.py", "src/kimi_vendor_verifier/tool_calls_eval.py")
MB = 1 << 20 if sys.platform == "darwin" else 1 << 10  # ru_maxrss counts bytes there and kilobytes elsewhere


def write_samples(path, count):
    """No two requests alike; ``{}``, which the stub calls the tool with, is valid under its schema."""
    place = {"type": "string", "description": "Name of a city or of a region, in the language of the conversation."}
    schema = {"type": "object", "properties": {"place": place, "days": {"type": "integer", "minimum": 1}}}
    about = "Forecast for a place: temperature, wind and rain for each of the next days."
    tool = {"type": "function", "function": {"name": "get_weather", "description": about, "parameters": schema}}
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            message = {"role": "user", "content": f"Request {number}: what is the weather like? "}
            request = {"model": "m", "messages": [message], "tools": [tool], "temperature": 0.6, "max_tokens": 256}
            message["content"] += "x" * (BYTES - len(json.dumps(request)))
            file.write(json.dumps(request) + "\n")
    return path


async def bare(url, samples):
    import aiohttp

    bodies = samples.read_bytes().splitlines()
    async with aiohttp.ClientSession(headers={"content-type": "application/json"}) as session:

        async def worker(work):
            for body in work:
                async with session.post(f"{url}/chat/completions", data=body) as answer:
                    assert json.loads(await answer.read())["choices"][0]["finish_reason"] == "tool_calls"

        await worker(bodies[:1])
        started, work = time.perf_counter(), iter(bodies)
        await asyncio.gather(*(worker(work) for _ in range(CONCURRENCY)))
        return time.perf_counter() - started


async def openai(url, samples, over_aiohttp=False):
    from openai import AsyncOpenAI, DefaultAioHttpClient

    requests = [json.loads(line) for line in samples.read_bytes().splitlines()]
    semaphore, http = asyncio.Semaphore(CONCURRENCY), DefaultAioHttpClient() if over_aiohttp else None
    async with AsyncOpenAI(api_key="none", base_url=url, http_client=http) as client:

        async def ask(request):
            async with semaphore:
                answer = await client.chat.completions.create(**request)
            assert answer.choices[0].finish_reason == "tool_calls"

        await ask(requests[0])
        started = time.perf_counter()
        await asyncio.gather(*(ask(request) for request in requests))
        return time.perf_counter() - started


def k2lab(url, samples):
    import aiohttp  # noqa: F401 - before the clock starts, as with the others

    from k2lab.bench import arm, runner
    from k2lab.bench.samples import open_samples

    started, out = time.perf_counter(), samples.with_suffix(f".{os.getpid()}.db")
    end = runner.run_benchmark(
        open_samples(samples),
        arm.Arm(name="stub", base_url=url, model="m"),
        out,
        limits=runner.Limits(concurrency=CONCURRENCY),
    )
    seconds = time.perf_counter() - started
    assert dict(end.counts) == {"tool_calls": end.wanted}, end
    return seconds


CLIENTS = {"bare": bare, "openai + aiohttp": functools.partial(openai, over_aiohttp=True), "openai + httpx": openai}
CLIENTS[K2LAB] = k2lab


def child(name, url, samples):
    """In a client's own process: print its seconds."""
    result = CLIENTS[name](url, Path(samples))
    print(uvloop.run(result) if asyncio.iscoroutine(result) else result)


def measured(name, command, folder):
    """Run a command; returns its standard output, its seconds and its peak in MB."""
    out, err = folder / "stdout", folder / "stderr"
    env = {**os.environ, "OPENAI_API_KEY": "none", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        seconds, process.returncode = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = err.read_text(errors="replace").strip().splitlines() or [""]
        sys.exit(f"bench-speed: {name} failed ({process.returncode}): {said[-1]}")
    return out.read_text(), seconds, usage.ru_maxrss / MB


def of_client(name, url, samples, count, folder):
    said, _, peak = measured(
        name, [sys.executable, "-m", "benchmarks.bench_speed", "child", name, url, samples], folder
    )
    return count / float(said), peak


def of_k2vv(command, url, samples, count, folder):
    def run(path, number):
        results, summary = folder / "results.jsonl", folder / "summary.json"
        results.unlink(missing_ok=True)  # an older version appends
        summary.unlink(missing_ok=True)
        where = ["--model", "m", "--base-url", url, "--output", results, "--summary", summary]
        _, seconds, peak = measured(K2VV, [*command, path, *where, "--concurrency", str(CONCURRENCY)], folder)
        had = json.loads(summary.read_text())["successful_tool_call_count"] if summary.exists() else 0
        if had != number:
            sys.exit(f"bench-speed: {K2VV} has {had} good results of {number}")
        return seconds, peak

    start_s, _ = run(write_samples(folder / "one.jsonl", 1), 1)
    seconds, peak = run(samples, count)
    return (count - 1) / (seconds - start_s), peak


def k2vv_command(path, python):
    script = next((file for file in (path, *(path / place for place in K2VV_PLACES)) if file.is_file()), None)
    if script is None:
        sys.exit(f"bench-speed: no tool_calls_eval.py at {path}: give a checkout of {K2VV}, or the file")
    if shutil.which(python) is None:
        sys.exit(f"bench-speed: no Python at {python}")
    return [Path(shutil.which(python)).absolute(), script.absolute()]


@contextlib.contextmanager
def stub():
    command = [sys.executable, "-m", "tests.helpers.stub_server", "--delay-ms", str(DELAY_MS)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"


def main(options):
    if options.requests < 2 or options.rounds < 1 or options.long < 0:
        sys.exit("bench-speed: at least 2 requests and 1 round are needed")
    count, jobs = options.requests, {name: functools.partial(of_client, name) for name in CLIENTS}
    if options.k2vv:
        jobs[K2VV] = functools.partial(of_k2vv, k2vv_command(options.k2vv, options.k2vv_python))
    with tempfile.TemporaryDirectory(prefix="k2lab-bench-") as made, stub() as url:
        folder = Path(made)
        samples = write_samples(folder / "samples.jsonl", count)
        rounds = [{name: job(url, samples, count, folder) for name, job in jobs.items()} for _ in range(options.rounds)]
        show(f"{count} requests, {CONCURRENCY} at once, {DELAY_MS} ms each, rounds: {options.rounds}", rounds)
        if options.long:
            samples = write_samples(folder / "long.jsonl", options.long)
            rate, peak = of_client(K2LAB, url, samples, options.long, folder)
            print(f"\nk2lab alone, {options.long} requests: {rate:.0f} req/s, peak {peak:.0f} MB")


def show(title, rounds):
    print(f"{title}; {os.cpu_count()} cores, Python {sys.version.split()[0]}; median (min-max)\n")
    print(f"{'':20}{'  req/s':24}{'peak MB':24}req/s to k2lab's")
    middle = {name: [statistics.median(one[name][place] for one in rounds) for place in (0, 1)] for name in rounds[0]}
    for name, medians in middle.items():
        both = [[one[name][place] for one in rounds] for place in (0, 1)]
        cells = [f"{m:7.0f} {f'({min(v):.0f}-{max(v):.0f})':16}" for m, v in zip(medians, both, strict=True)]
        print(f"{name:20}{''.join(cells)}{medians[0] / middle[K2LAB][0]:.2f}")
    if K2VV in middle:
        rate, peak = (mine / theirs for mine, theirs in zip(middle[K2LAB], middle[K2VV], strict=True))
        print(f"\nk2lab to {K2VV}: {rate:.1f} times the requests a second, {peak:.2f} times the memory")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        sys.exit(child(*sys.argv[2:]))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", type=int, default=0, metavar="N", help="also k2lab alone on so many requests")
    parser.add_argument("--k2vv", type=Path, metavar="PATH", help="a checkout, or its tool_calls_eval.py")
    parser.add_argument("--k2vv-python", default=sys.executable, metavar="PYTHON", help="its interpreter")
    main(parser.parse_args())
