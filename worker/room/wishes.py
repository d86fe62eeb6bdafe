"""How the model is to speak with whom: as the dispatch says, then the room, then the caller's token."""

import asyncio
from dataclasses import dataclass, field

from livekit import rtc

from engine.errors import SessionError
from engine.protocol import SessionRequest
from worker.conversation.session_parameters import first_of, from_attributes, from_metadata

FIRST_CALLER_S = 10.0
"""The seat is kept for as long as RESERVED_S, and from before the job began."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted, read once. by_app: of the dispatch and of the room; wrong: what is wrong with it, told
    once somebody is there to hear it. patience_s: for how long a session waits for the first caller, whose
    token may have a say; later than that it has none. One that cannot begin waits for as long as the call.
    """

    by_app: SessionRequest
    wrong: SessionError | None = None
    patience_s: float = 0.0
    _first: "asyncio.Future[rtc.RemoteParticipant]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @classmethod
    def of(cls, by_dispatch: SessionRequest, room_metadata: str, patience_s: float) -> "Wishes":
        """For a room as it is now. Inside a running event loop."""
        try:
            return cls(first_of(by_dispatch, from_metadata(room_metadata)), None, patience_s)
        except SessionError as wrong:
            return cls(by_dispatch, wrong, patience_s)

    def came(self, caller: rtc.RemoteParticipant) -> None:
        """Somebody is there; the first one counts."""
        if not self._first.done():
            self._first.set_result(caller)

    async def of_first(self) -> SessionRequest:
        """Of a conversation with whoever comes first. Raises SessionError."""
        await asyncio.wait([self._first], timeout=None if self.wrong else self.patience_s)
        return self.of_caller(self._first.result() if self._first.done() else None)

    def of_caller(self, caller: rtc.RemoteParticipant | None) -> SessionRequest:
        """Of a conversation with this one. Raises SessionError."""
        if self.wrong is not None:
            raise self.wrong
        # Who may change their own attributes may have: only what their token says is an app's word.
        if caller is None or caller.permissions.can_update_metadata:
            return self.by_app
        return first_of(self.by_app, from_attributes(caller.attributes))
