"""Both engines serving k2-nano, in a process of its own: prints their URLs as JSON, ends with its standard input.

Started when a test run begins, so that the servers come up while other tests run.
"""

import json
import sys

from k2lab.notebook import servers as lab

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

if __name__ == "__main__":
    with lab.serving(SERVERS, say=lambda text: print(text, file=sys.stderr)) as urls:
        print(json.dumps(urls), flush=True)
        sys.stdin.read()
