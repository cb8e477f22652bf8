"""``python -m k2lab.cli``."""

from k2lab.cli import main

main()
