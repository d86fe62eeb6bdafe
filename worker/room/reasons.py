"""Why calls end."""

from enum import StrEnum

from livekit import rtc


class Reason(StrEnum):
    """Why a call ended."""

    CALLER_LEFT = "caller_left"
    NOBODY_CAME = "nobody_came"
    ROOM_CLOSED = "room_closed"
    REMOVED = "removed"
    MAX_TIME = "max_time"
    IDLE = "idle"
    CONNECTION_LOST = "connection_lost"
    ENGINE_LOST = "engine_lost"
    ENGINE_ENDED = "engine_ended"
    REFUSED = "refused"
    WORKER_STOPPED = "worker_stopped"
    REPLACED = "replaced"
    FAILED = "failed"


# Somebody decided that this call is over. Whatever else ends one may be an accident.
HANG_UPS = (
    Reason.CALLER_LEFT,
    Reason.NOBODY_CAME,
    Reason.ROOM_CLOSED,
    Reason.REMOVED,
    Reason.MAX_TIME,
    Reason.IDLE,
    Reason.REPLACED,
)

# The agent leaves, and none takes its place.
_WITHOUT_SUCCESSOR = (
    Reason.CALLER_LEFT,
    Reason.NOBODY_CAME,
    Reason.MAX_TIME,
    Reason.IDLE,
    Reason.ENGINE_LOST,
    Reason.ENGINE_ENDED,
    Reason.REFUSED,
)

_DISCONNECTED = {
    rtc.DisconnectReason.ROOM_DELETED: Reason.ROOM_CLOSED,
    rtc.DisconnectReason.ROOM_CLOSED: Reason.ROOM_CLOSED,
    rtc.DisconnectReason.PARTICIPANT_REMOVED: Reason.REMOVED,
    # Another job took our place, and has brought the conversation with it.
    rtc.DisconnectReason.DUPLICATE_IDENTITY: Reason.REPLACED,
    # Ourselves: the framework leaves the room before it tells us that the job is to stop.
    rtc.DisconnectReason.CLIENT_INITIATED: Reason.WORKER_STOPPED,
}


def is_for_good(reason: Reason, *, are_brought_back: bool) -> bool:
    """Whether no other agent takes our place. are_brought_back: calls that lose their job get another."""
    return reason in _WITHOUT_SUCCESSOR or (reason is Reason.FAILED and not are_brought_back)


def is_nobody_to_be_sent(reason: Reason, *, is_anybody_left: bool) -> bool:
    """Whether no agent is to come to the room again for this call. is_anybody_left: as far as the SDK knows,
    which knows nobody once the agent itself is out.
    """
    # One that failed may go on with another worker. Who was told that it is over hears no more.
    return reason is Reason.REMOVED or (is_anybody_left and reason in _WITHOUT_SUCCESSOR)


def of_disconnect(reason: rtc.DisconnectReason.ValueType) -> Reason:
    """What it means for a call that the agent is out of the room."""
    return _DISCONNECTED.get(reason, Reason.CONNECTION_LOST)
