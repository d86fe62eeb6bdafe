"""Callers of the engine's own sockets, without rooms: `python -m load_tests engine`."""

WAITING = "waiting"
"""The model that only waits, and repeats what it hears."""
