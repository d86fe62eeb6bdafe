"""A conversation in a terminal: microphone, speakers, words. Knows no torch; the engine is somewhere else."""
