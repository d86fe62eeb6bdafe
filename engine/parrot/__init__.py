"""The embedded checkpoint `parrot`: a test voice, not a conversational model.

It is a small checkpoint of exactly Moshi's architecture, in the official layout. It says back what it hears
0.96 s later, in a robot's voice, and writes "I hear you." once for every phrase; it understands nothing. With
it the engine runs on any machine without a GPU and without a download, and what comes back can be checked by
ear and by test. docs/parrot.md tells how it works; `python -m engine.parrot.build` makes the files again.
"""

from pathlib import Path

CHECKPOINT = Path(__file__).parent / "checkpoint"
"""The folder that a loader takes. Besides the official files it holds parrot.json: facts for tests."""
