"""Many callers at the same time: `python -m load_tests callers`."""
