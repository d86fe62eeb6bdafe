"""Who answers in a room: Moshi, Moshi and an LLM, or the LLM alone."""

import json
from enum import StrEnum

from engine.errors import SessionError

KEY = "moshi"
MODE = "mode"


class Mode(StrEnum):
    """Moshi alone; Moshi at once, and an LLM with a recogniser and a voice; those three alone."""

    MOSHI = "moshi"
    HYBRID = "hybrid"
    PIPELINE = "pipeline"


def mode_in(metadata: str, default: Mode) -> Mode:
    """What the metadata of a job asks for, `{"moshi": {"mode": "hybrid"}}`; else the default.

    Raises SessionError.
    """
    try:
        wanted = json.loads(metadata)[KEY][MODE]
    except (LookupError, RecursionError, TypeError, ValueError):
        return default
    try:
        return Mode(wanted)
    except ValueError:
        raise SessionError(f"mode is {wanted!r}: expected {', '.join(Mode)}") from None
