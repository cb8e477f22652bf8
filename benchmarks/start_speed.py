"""What a start of vLLM costs: by an interpreter of its own, and forked from a process that has imported the engine.

Servers of k2-nano are started one after the other and stay until the end, so that the memory is that of all together.
CPU is that of a server's processes when it first answers; memory is what a process has to itself (USS), and what all
take together (PSS), the warm process included.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import psutil

from k2lab import engine
from k2lab.engine import warm
from k2lab.nano import folders

KINDS = {"alone": False, "forked": True}


def tree(pid):
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_s(processes):
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def started(release, fork):
    """One server, its seconds and its seconds of CPU."""
    found, began = engine.resolve(release), time.perf_counter()
    folder = Path(folders.assemble("current"))
    server = engine.start(found.python, release, folder, flags=found.flags, fork=fork)
    return server, time.perf_counter() - began, cpu_s(tree(server.server_pid))


def warm_cpu_s():
    return sum(cpu_s([psutil.Process(process.pid)]) for process in warm._mine.values())


def measured(release, kind, count):
    rows, servers = [], []
    try:
        for _ in range(count):
            server, took_s, used_s = started(release, KINDS[kind])
            servers.append(server)
            rows.append((took_s, used_s))
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
    print(f"{'':18}{'CPU s':18}{'s until it answers':22}{'GB of its own':16}{'GB of all':12}CPU s of the warm process")
    for release in releases:
        for kind in KINDS:
            rows, own, shared, before_s = measured(release, kind, count)
            cells = f"{spread([row[1] for row in rows]):18}{spread([row[0] for row in rows]):22}"
            print(f"{release + ' ' + kind:18}{cells}{own:<16.2f}{shared:<12.2f}{before_s:.1f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("releases", nargs="*", default=["0.11.0", "0.32.0"])
    options = parser.parse_args()
    main(options.releases, options.servers)
