"""Both engines serving k2-nano, in a process of its own that ends with its standard input.

Their URLs, or why there are none, go to ``urls.json`` in the folder that is its argument.
"""

import contextlib
import json
import sys
from pathlib import Path

from k2lab.errors import K2LabError
from k2lab.notebook.servers import serving

SERVERS = (
    "0.11.0 legacy",
    "0.11.0 declared",
    "0.11.0 current",
    "0.32.0 legacy",
    "0.32.0 declared",
    "0.32.0 current",
    "0.32.0 current string",
    "0.32.0 current strict-function",
    "0.32.0 current strict-parameter",
)


def main(folder: Path) -> None:
    def answer(found: dict[str, str]) -> None:
        (folder / "urls.part").write_text(json.dumps(found))
        (folder / "urls.part").rename(folder / "urls.json")

    try:
        with serving(SERVERS) as urls:
            answer(urls)
            sys.stdin.read()
    except K2LabError as error:
        answer({"error": str(error)})


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C goes to all processes of a terminal
        main(Path(sys.argv[1]))
