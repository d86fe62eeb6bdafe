"""What an operator sees of calls: counts of the worker, a log line and a span of each call."""
