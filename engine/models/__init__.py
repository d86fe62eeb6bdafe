"""Arithmetic: tensors in, tensors out. Knows no socket, no clock, no thread and no file."""
