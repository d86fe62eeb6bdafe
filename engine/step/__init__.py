"""Which frames run when: the queue of complete frames, the thread that steps them, and the step itself."""
