"""Callers who come and go while others speak: `python -m load_tests churn` and `ramp`."""
