"""How the model is to speak in a call, on the way from an app to the engine.

It travels as a part of the dispatch's metadata or of the room's, `{"moshi": {"temperature": 0.7}}`, or as
attributes in a caller's token, `moshi.temperature`. Only the holder of the LiveKit key can write those, and
the rest of them is an app's own.
"""

import json
from collections.abc import Mapping

from engine.errors import SessionError
from engine.protocol import SAMPLING_PARAMETERS, SessionRequest
from worker.modes import KEY, MODE

_NOT_FOR_CALLERS = ("seat",)
_PARAMETERS = (*SAMPLING_PARAMETERS, "voice", "prompt")


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


def from_attributes(attributes: Mapping[str, str]) -> SessionRequest:
    """What the attributes of a token ask for. Raises SessionError."""
    named = {name: attributes.get(f"{KEY}.{name}") for name in _PARAMETERS}
    return parse({name: value for name, value in named.items() if value})


def first_of(*requests: SessionRequest) -> SessionRequest:
    """Each parameter as the first of `requests` has it that names it."""
    chosen: dict[str, str] = {}
    for request in reversed(requests):
        chosen |= request.to_query()
    return SessionRequest.from_query(chosen)


def from_metadata(metadata: str) -> SessionRequest:
    """What the metadata of a job or a room asks for. What is not for us is nothing. Raises SessionError."""
    try:
        body = json.loads(metadata)
    except (ValueError, RecursionError):
        return SessionRequest()
    given = body.get(KEY, {}) if isinstance(body, dict) else {}
    if not isinstance(given, dict):
        raise SessionError(f'"{KEY}" in the metadata is an object of session parameters')
    return parse({name: value for name, value in given.items() if name != MODE})
