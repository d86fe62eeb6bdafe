"""Callers who talk all the time while things go wrong: `python -m load_tests faults` and `soak`."""
