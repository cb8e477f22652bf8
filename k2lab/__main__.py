"""What the shell starts, as ``k2lab`` and as ``python -m k2lab``: signals first, then the command line."""

import os

from k2lab import interrupts

OWNER_ALONE = 0o077
"""What commands write holds prompts and answers, whatever the shell lets others read."""

interrupts.exit_at_once()  # before what takes a third of a second to import


def main() -> None:
    """Run the command line."""
    os.umask(OWNER_ALONE)
    from k2lab.cli import streams

    streams.set_up()
    from k2lab.cli import main

    main()


if __name__ == "__main__":
    main()
