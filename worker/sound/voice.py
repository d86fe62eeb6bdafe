"""The agent's voice in a room: a track for as long as the room takes one, and again once it does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from livekit import rtc
from livekit.rtc.participant import PublishTrackError, UnpublishTrackError

from engine.protocol import Audio
from worker.sound.audio_out import AudioOut, Played

log = logging.getLogger(__name__)

UNTOLD_S = 2.0
"""A server that does not want a track says nothing, and the SDK waits 10 s for its word."""
AGAIN_S = 2.0


class Voice:
    """`put` answers, and `run` it. What is put while the room takes no track is dropped.

    tell: called with whether the voice can be heard, whenever that changes or takes long to change.
    """

    def __init__(self, room: rtc.Room, tell: Callable[[bool], None]) -> None:
        self.track_sid = ""
        self._room = room
        self._me = room.local_participant
        self._tell = tell
        self._out: AudioOut | None = None
        self._left_out_s, self._underruns = 0.0, 0
        self._permissions = asyncio.Event()
        self._settled = asyncio.Event()
        room.on("participant_permissions_changed", self._on_permissions)
        room.on("local_track_republished", self._on_republished)

    @property
    def left_out_s(self) -> float:
        """How much silence was trimmed from it."""
        return self._left_out_s + (self._out.left_out_s if self._out else 0.0)

    @property
    def underruns(self) -> int:
        """How often an answer came after the one before it had been played."""
        return self._underruns + (self._out.underruns if self._out else 0)

    def put(self, answer: Audio, level_db: float) -> None:
        """Play this next; `level_db` is its level."""
        if self._out is not None:
            self._out.put(answer, level_db)

    def rest(self) -> None:
        """Nothing is expected for a while: what comes next is not late."""
        if self._out is not None:
            self._out.rest()

    async def heard(self) -> None:
        """Wait until somebody has subscribed to the track, or it is known that the room takes none."""
        await self._settled.wait()
        if self._out is not None:
            await self._out.heard()

    async def run(self, played: Callable[[Played], Awaitable[None]]) -> None:
        """Publish the track, and call `played` with each frame that went there; until cancelled."""
        while True:
            if not self._me.permissions.can_publish:
                self._say(False)
                await self._wait_until_permitted(True)
            out = await self._publish()
            if out is None:
                await asyncio.sleep(AGAIN_S)
                continue
            self._out, self.track_sid = out, out.track_sid
            self._say(True)
            async with asyncio.TaskGroup() as playing:
                pump = playing.create_task(_play(out, played))
                await self._wait_until_permitted(False)
                pump.cancel()
            await self._drop()
            # The server has done so already, but the SDK would publish it again after a reconnect.
            with suppress(UnpublishTrackError):
                await self._me.unpublish_track(out.track_sid)

    async def close(self) -> None:
        """Drop what is queued, and hear no more of the room."""
        self._room.off("participant_permissions_changed", self._on_permissions)
        self._room.off("local_track_republished", self._on_republished)
        await self._drop()

    async def _drop(self) -> None:
        if self._out is not None:
            self._left_out_s += self._out.left_out_s
            self._underruns += self._out.underruns
            out, self._out = self._out, None
            await out.close()

    async def _publish(self) -> AudioOut | None:
        slow = asyncio.get_running_loop().call_later(UNTOLD_S, self._tell, False)
        try:
            return await AudioOut.publish(self._me)
        except PublishTrackError as refused:
            log.warning("the room takes no track of ours", extra={"detail": refused.message})
            self._say(False)
            return None
        finally:
            slow.cancel()

    def _say(self, is_heard: bool) -> None:
        self._settled.set()
        self._tell(is_heard)

    async def _wait_until_permitted(self, permitted: bool) -> None:
        while self._me.permissions.can_publish is not permitted:
            self._permissions.clear()
            await self._permissions.wait()
        # What was known of the track is so no more.
        self._settled.clear()

    def _on_permissions(self, *_changed: object) -> None:
        self._permissions.set()

    def _on_republished(self, publication: rtc.LocalTrackPublication, previous_sid: str) -> None:
        if previous_sid == self.track_sid:
            self.track_sid = publication.sid
            self._say(True)


async def _play(out: AudioOut, played: Callable[[Played], Awaitable[None]]) -> None:
    async for frame in out.play():
        await played(frame)
