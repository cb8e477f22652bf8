"""What the shell starts, as ``k2lab`` and as ``python -m k2lab``: signals first, then the command line."""

from k2lab import interrupts

interrupts.exit_at_once()  # before what takes a third of a second to import


def main() -> None:
    """Run the command line."""
    from k2lab.cli import streams

    streams.set_up()
    from k2lab.cli import main

    main()


if __name__ == "__main__":
    main()
