"""What a precision costs: `python -m engine quality`."""
