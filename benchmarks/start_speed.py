"""What a start of vLLM costs: by an interpreter of its own, and forked from a process that has imported the engine.

Servers of k2-nano are started one after the other and stay until the end, so that the memory is that of all together.
CPU is that of a server's processes when it is ready; then it draws an answer. Memory is what a process has to
itself (USS), and what all take together (PSS), the warm process included.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import psutil

from k2lab import engine, paths
from k2lab.chat import load
from k2lab.engine import warm
from k2lab.nano import folders
from k2lab.server.endpoint import Endpoint

CONVERSATION = paths.data_dir() / "conversations" / "get_weather.json"
KINDS = {"alone": False, "forked": True}


def tree(pid):
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_s(processes):
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def started(release, fork):
    """One server, its seconds, its seconds of CPU, and the seconds of its first answer."""
    found, began = engine.resolve(release), time.perf_counter()
    folder = Path(folders.assemble("current", engine=release))
    server = engine.start(found.python, release, folder, flags=found.flags, fork=fork)
    ready_s, used_s = time.perf_counter() - began, cpu_s(tree(server.server_pid))
    began = time.perf_counter()
    Endpoint(server.base_url).chat(load(CONVERSATION), temperature=1, max_tokens=60)
    return server, ready_s, used_s, time.perf_counter() - began


def warm_cpu_s():
    return sum(cpu_s([psutil.Process(process.pid)]) for process in warm._mine.values())


def measured(release, kind, count):
    rows, servers = [], []
    try:
        for _ in range(count):
            server, *row = started(release, KINDS[kind])
            servers.append(server)
            rows.append(row)
        processes = [process for server in servers for process in tree(server.server_pid)]
        warm_processes = [psutil.Process(process.pid) for process in warm._mine.values()]
        own = sum(process.memory_full_info().uss for process in processes) / count / 1e9
        shared = sum(process.memory_full_info().pss for process in [*processes, *warm_processes]) / 1e9
        return rows, own, shared, warm_cpu_s()
    finally:
        for server in servers:
            engine.stop(server)
        warm.end_all()


def spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


def main(releases, count):
    print(f"{count} servers each; {os.cpu_count()} cores, Python {sys.version.split()[0]}; median (min-max)\n")
    titles = {"CPU s": 18, "s until it is ready": 22, "s of its first answer": 24, "GB of its own": 16, "GB of all": 12}
    print(" " * 18 + "".join(f"{title:{width}}" for title, width in titles.items()) + "CPU s of the warm process")
    for release in releases:
        for kind in KINDS:
            rows, own, shared, before_s = measured(release, kind, count)
            ready, used, first = (spread(column) for column in zip(*rows, strict=True))
            cells = f"{used:18}{ready:22}{first:24}"
            print(f"{release + ' ' + kind:18}{cells}{own:<16.2f}{shared:<12.2f}{before_s:.1f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("releases", nargs="*", default=["0.11.0", "0.11.1", "0.32.0"])
    options = parser.parse_args()
    main(options.releases, options.servers)
