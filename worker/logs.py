"""What the worker's log does not hold: words, names, rooms, numbers, secrets, and noise."""

import logging

from livekit import rtc

from engine.logs import LogFormat, log_to_stderr
from worker.private import Discreet

# Of the SDK, at the end of every subscription and of no consequence.
_NOISE = "Attempted to drop unknown FFI handle"
_NUMBERS = ("sip.phoneNumber", "sip.trunkPhoneNumber")

_discreet = Discreet()


def set_up(log_format: LogFormat) -> None:
    """Send everything from INFO on to stderr, of the SDK from WARNING on."""
    log_to_stderr(log_format).addFilter(is_news)
    be_discreet()
    logging.getLogger("livekit").setLevel(logging.WARNING)
    logging.getLogger("livekit.agents").setLevel(logging.INFO)


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line is worth its place."""
    return _NOISE not in record.getMessage()


def be_discreet() -> None:
    """Whoever set up the log of this process: nothing private goes into it from now on.

    Nor a line for each look at health or numbers.
    """
    for handler in logging.getLogger().handlers:
        handler.addFilter(_discreet)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def hide_names_in(room: rtc.Room) -> None:
    """Never name this room in this process's log, nor who is or will be in it. Its handlers may be new."""
    be_discreet()
    _discreet.names.add(room.name)
    for person in room.remote_participants.values():
        _hide(person)
    room.on("participant_connected", _hide)


def _hide(person: rtc.RemoteParticipant) -> None:
    if person.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
        return
    numbers = (person.attributes.get(name, "") for name in _NUMBERS)
    _discreet.names.update(name for name in (person.identity, person.name, *numbers) if name)
