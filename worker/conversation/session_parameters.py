"""How the model is to speak in a call, on the way from whoever dispatched the agent to the engine.

It travels as a part of the dispatch's metadata: `{"moshi": {"temperature": 0.7, "seed": 1}}`. Only the holder
of the LiveKit key can write that, and the rest of it is an app's own.
"""

import json
from collections.abc import Mapping

from engine.errors import SessionError
from engine.protocol import SessionRequest

KEY = "moshi"
_NOT_FOR_CALLERS = ("seat",)


def parse(given: Mapping[str, object]) -> SessionRequest:
    """The parameters of a JSON object; null leaves one out. Raises SessionError that names what is wrong."""
    texts = {}
    for name, value in given.items():
        if name in _NOT_FOR_CALLERS:
            raise SessionError(f"{name} is not for callers to choose")
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            texts[name] = str(value)
        elif value is not None:
            raise SessionError(f"{name} is {type(value).__name__}: expected a number or a text")
    return SessionRequest.from_query(texts)


def to_metadata(request: SessionRequest) -> str:
    """The metadata of a dispatch that asks for this."""
    return json.dumps({KEY: request.to_query()})


def from_metadata(metadata: str) -> SessionRequest:
    """What the metadata of a job asks for. What is not for us is nothing. Raises SessionError."""
    try:
        body = json.loads(metadata)
    except (ValueError, RecursionError):
        return SessionRequest()
    given = body.get(KEY, {}) if isinstance(body, dict) else {}
    if not isinstance(given, dict):
        raise SessionError(f'"{KEY}" in the metadata of a dispatch is an object of session parameters')
    return parse(given)
