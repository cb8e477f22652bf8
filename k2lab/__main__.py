"""``python -m k2lab``: the command line."""

from k2lab.cli import main

if __name__ == "__main__":
    main()
