"""A server from outside: its endpoint, what it is asked to show a fault, and the parsers at hand."""
