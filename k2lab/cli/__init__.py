"""The command line: one module for each group of commands; ``main`` is what the shell starts."""

from k2lab.cli.app import main, root

__all__ = ["main", "root"]
