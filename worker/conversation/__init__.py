"""One conversation: a session of the engine, and what moves between it and a room."""
