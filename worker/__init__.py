"""The worker: brings LiveKit rooms to an engine and back. Knows nothing of models and imports no torch."""
