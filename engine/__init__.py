"""The engine: one process that owns the model and serves many sessions of it. Knows nothing of LiveKit."""
