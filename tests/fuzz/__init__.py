"""Hostile material over every command, with seeds that repeat it: ``python -m tests.fuzz --help``."""
