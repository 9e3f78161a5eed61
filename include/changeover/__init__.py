"""Changeover takes a client's application from one vendor release to the next, and can always say what is true."""

__version__ = "0.1.0"
