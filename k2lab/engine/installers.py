"""The command that installs packages side by side: uv, with the settings that pip has on this machine.

Run by its path with what follows ``pip install``, it installs into the environment of its interpreter, in which nothing
of k2lab's has to be there yet; pip does it where uv can't.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

SETTING = re.compile(r"^(?P<place>[\w:-]+)\.(?P<name>[\w-]+)='(?P<value>.*)'$")
"""A line of ``pip config list``, such as ``:env:.find-links='/srv/wheels'``."""

OPTIONS = {
    "index-url": "--default-index",
    "extra-index-url": "--index",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
}
"""What pip's settings are to uv, which does not read them itself."""


def uv() -> str | None:
    """The program, out of its package or from the PATH; ``None`` where there is none."""
    if find_spec("uv") is not None:
        from uv import find_uv_bin

        return str(find_uv_bin())
    return shutil.which("uv")


def uv_command(pip: Sequence[str], extra: Sequence[str], requirements: Path) -> list[str] | None:
    """What installs a file of pins as ``pip install --no-deps`` would, several downloads at a time.

    ``None`` where uv is not there. uv installs into the environment of ``pip``.
    """
    return _command(pip, "--no-deps", "--require-hashes", more=[*extra, "-r", str(requirements)])


def install(words: Sequence[str]) -> int:
    """The exit status of an install into this interpreter's environment, told as errors alone."""
    pip = [sys.executable, "-m", "pip"]
    command = _command(pip, "--quiet", "--compile-bytecode", more=words)
    if command is not None and subprocess.run(command, check=False).returncode == 0:
        return 0
    return subprocess.run([*pip, "install", "--quiet", "--disable-pip-version-check", *words], check=False).returncode


def _command(pip: Sequence[str], *flags: str, more: Sequence[str]) -> list[str] | None:
    program = uv()
    if program is None:
        return None
    options, certificates = _settings(pip)
    place = ["env", f"SSL_CERT_FILE={certificates}"] if certificates else []
    into = ["--python", pip[0], "--index-strategy", "unsafe-best-match"]
    return [*place, program, "pip", "install", *flags, *into, *options, *more]


def _settings(pip: Sequence[str]) -> tuple[list[str], str]:
    """Options for uv out of pip's configuration, and the file of certificates."""
    settings = dict(_in_order(_said(pip)))
    options = [
        word
        for name, option in OPTIONS.items()
        for value in settings.get(name, "").replace("\\n", " ").split()
        for word in (option, value)
    ]
    return options, settings.get("cert", "")


def _said(pip: Sequence[str]) -> list[str]:
    """The lines of pip's configuration; none where it cannot say."""
    try:
        return subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def _in_order(listing: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Settings that bear on installing; those of the environment last, which overrule the files."""
    found = [match for line in listing if (match := SETTING.match(line))]
    for place in ("global", "install", ":env:"):
        yield from ((match["name"], match["value"]) for match in found if match["place"] == place)


if __name__ == "__main__":
    sys.exit(install(sys.argv[1:]))
