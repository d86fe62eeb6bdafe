"""What an answer of a hybrid call takes beside its models: `python -m load_tests hybrid`."""
