"""One call: a room on one side, a session of the engine on the other, and what moves between them."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from livekit import rtc

from engine.client import EngineClient, EngineSession
from engine.errors import EngineError, EngineUnreachable
from engine.level import level_db
from engine.protocol import Audio, Ended, Failure, Report, SessionRequest, Text
from worker import agent_state, attributes
from worker.agent_state import SpeechDetector, State
from worker.attributes import Attributes
from worker.audio_in import AudioIn
from worker.audio_out import AudioOut
from worker.jitter import JitterGauge
from worker.latency import INTERVAL_S, CallLatency
from worker.people import FirstCaller
from worker.transcript import Transcript

log = logging.getLogger(__name__)

NOTICE_S = 60.0
ARRIVAL_S = 60.0
HANG_UP_TIMEOUT_S = 2.0
LAST_WORDS_TIMEOUT_S = 2.0
NOTHING_SPECIAL = SessionRequest()
UNANSWERED_FRAMES = 5
"""As many frames the engine may owe us. If it is further behind, sound is lost: else it would stay behind."""


class Reason(StrEnum):
    """Why a call ended."""

    CALLER_LEFT = "caller_left"
    NOBODY_CAME = "nobody_came"
    ROOM_CLOSED = "room_closed"
    MAX_TIME = "max_time"
    CONNECTION_LOST = "connection_lost"
    ENGINE_LOST = "engine_lost"
    ENGINE_ENDED = "engine_ended"
    REFUSED = "refused"
    WORKER_STOPPED = "worker_stopped"
    FAILED = "failed"


# Somebody decided that this call is over. Whatever else ends one may be an accident.
HANG_UPS = (Reason.CALLER_LEFT, Reason.NOBODY_CAME, Reason.ROOM_CLOSED, Reason.MAX_TIME)

_DISCONNECTED = {
    rtc.DisconnectReason.ROOM_DELETED: Reason.ROOM_CLOSED,
    rtc.DisconnectReason.ROOM_CLOSED: Reason.ROOM_CLOSED,
    rtc.DisconnectReason.PARTICIPANT_REMOVED: Reason.ROOM_CLOSED,
    # Ourselves: the framework leaves the room before it tells us that the job is to stop.
    rtc.DisconnectReason.CLIENT_INITIATED: Reason.WORKER_STOPPED,
}


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Seconds that a call may last, from when before its end the caller is told, to wait for a caller."""

    max_s: float
    notice_s: float = NOTICE_S
    arrival_s: float = ARRIVAL_S


class Call:
    """Build it as soon as the room is connected, and `run` it.

    Cancelling `run` hangs nothing up: the engine sees a lost connection.
    """

    def __init__(
        self,
        call_id: str,
        room: rtc.Room,
        engine: EngineClient,
        limits: CallLimits,
        wanted: SessionRequest = NOTHING_SPECIAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._id = call_id
        self._room = room
        self._engine = engine
        self._limits = limits
        self._wanted = replace(wanted, seat=call_id)
        self._clock = clock
        self._caller = FirstCaller(room)
        self._audio_in = AudioIn(clock=clock)
        self._jitter = JitterGauge()
        self._speech = SpeechDetector()
        self._latency = CallLatency()
        self._arrived_at: dict[int, float] = {}
        self._session_id = ""
        self._frames_sent = 0
        self._unanswered = asyncio.Semaphore(UNANSWERED_FRAMES)
        self._over: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        room.on("disconnected", self._on_disconnected)

    async def run(self) -> Reason:
        """Publish the track, open the session, move sound and words until the call is over; the reason."""
        began_at = self._clock()
        audio_out = await AudioOut.publish(self._room.local_participant)
        reason = Reason.FAILED
        try:
            session = await self._engine.open(self._wanted)
            self._session_id = session.ready.session
            log.info("call began", extra={"call": self._id, "session": self._session_id})
            reason = await self._converse(session, audio_out)
        except EngineError as refusal:
            reason = Reason.ENGINE_LOST if isinstance(refusal, EngineUnreachable) else Reason.REFUSED
            log.warning(
                "no session", extra={"call": self._id, "reason": refusal.code, "detail": str(refusal)}
            )
        except asyncio.CancelledError:
            reason = Reason.WORKER_STOPPED
            raise
        finally:
            await audio_out.close()
            log.info("call ended", extra=self._summary(began_at, audio_out, reason))
        return reason

    def hang_up(self, reason: Reason) -> None:
        """End the call; the first reason counts."""
        if not self._over.done():
            self._over.set_result(reason)

    @property
    def is_over(self) -> bool:
        """Whether the call has ended or is about to."""
        return self._over.done()

    async def _converse(self, session: EngineSession, audio_out: AudioOut) -> Reason:
        me = self._room.local_participant
        transcript = Transcript(me, audio_out.track_sid)
        sign = Attributes(me, attributes.AT_ONCE)
        sign.show(agent_state.ATTRIBUTE, State.LISTENING)
        sign.show(attributes.MODEL, session.ready.model)
        sign.show(attributes.MODEL_DELAY_MS, str(session.ready.model_delay_ms))
        try:
            async with asyncio.TaskGroup() as pumps:
                answering = pumps.create_task(self._answer(session, audio_out, transcript, sign))
                others = [
                    pumps.create_task(self._hear()),
                    pumps.create_task(self._ask(session)),
                    pumps.create_task(self._play(session, audio_out)),
                    pumps.create_task(self._watch_caller()),
                    pumps.create_task(self._watch_time(transcript)),
                    pumps.create_task(transcript.run()),
                    pumps.create_task(sign.run()),
                    pumps.create_task(self._tell_latency(sign)),
                ]
                reason = await asyncio.shield(self._over)
                for task in others:
                    task.cancel()
                if reason in HANG_UPS:
                    await session.end()
                    # Until it says that it has ended: closing while it sends could cost the message before.
                    await asyncio.wait([answering], timeout=HANG_UP_TIMEOUT_S)
                answering.cancel()
            if self._room.isconnected():
                await self._finish(transcript)
        finally:
            await session.close()
        return reason

    async def _finish(self, transcript: Transcript) -> None:
        try:
            async with asyncio.timeout(LAST_WORDS_TIMEOUT_S):
                await transcript.finish()
        except TimeoutError:
            log.warning("the end of the transcript was lost", extra={"call": self._id})

    async def _hear(self) -> None:
        async for track in self._caller.tracks():
            watching = asyncio.create_task(self._jitter.watch(track))
            try:
                await self._audio_in.read(track)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    async def _ask(self, session: EngineSession) -> None:
        async for frame in self._audio_in:
            await self._unanswered.acquire()
            self._arrived_at[self._frames_sent] = frame.arrived_at
            self._frames_sent += 1
            await session.send(frame.pcm)

    async def _answer(
        self, session: EngineSession, audio_out: AudioOut, transcript: Transcript, sign: Attributes
    ) -> None:
        try:
            async for event in session:
                match event:
                    case Audio():
                        self._unanswered.release()
                        level = level_db(event.pcm)
                        audio_out.put(event, level)
                        self._speech.frame(level)
                        transcript.frame(level)
                    case Text():
                        self._speech.word()
                        transcript.piece(event.piece)
                    case Failure():
                        log.error(
                            "the engine gave up a call",
                            extra={"call": self._id, "reason": event.code, "detail": event.message},
                        )
                    case Ended():
                        self.hang_up(Reason.ENGINE_ENDED)
                sign.show(agent_state.ATTRIBUTE, self._speech.state)
        except EngineError as lost:
            log.error(
                "the engine was lost", extra={"call": self._id, "reason": lost.code, "detail": str(lost)}
            )
            self.hang_up(Reason.ENGINE_LOST)

    async def _play(self, session: EngineSession, audio_out: AudioOut) -> None:
        async for played in audio_out.play():
            arrived_at = self._arrived_at.pop(played.frame, None)
            if arrived_at is not None:
                jitter_s, worker_s = self._jitter.latest_s, played.handed_at - arrived_at
                self._latency.add(jitter_s or 0.0, worker_s, played.queued_s)
                await session.report(
                    Report(
                        played.frame,
                        worker_us=_microseconds(worker_s),
                        playout_us=_microseconds(played.queued_s),
                        jitter_us=None if jitter_s is None else _microseconds(jitter_s),
                    )
                )

    async def _tell_latency(self, sign: Attributes) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            if self._latency.frames:
                sign.show(attributes.LATENCY, self._latency.to_json())

    async def _watch_caller(self) -> None:
        await self._caller.left.wait()
        self.hang_up(Reason.CALLER_LEFT)

    async def _watch_time(self, transcript: Transcript) -> None:
        try:
            # Python 3.11's wait_for loses a cancellation that comes together with the caller.
            async with asyncio.timeout(self._limits.arrival_s):
                await self._caller.arrived.wait()
        except TimeoutError:
            self.hang_up(Reason.NOBODY_CAME)
            return
        notice_s = min(self._limits.notice_s, self._limits.max_s)
        await asyncio.sleep(self._limits.max_s - notice_s)
        transcript.notice(f"This call ends in {notice_s:g} seconds.")
        await asyncio.sleep(notice_s)
        self.hang_up(Reason.MAX_TIME)

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self.hang_up(_DISCONNECTED.get(reason, Reason.CONNECTION_LOST))

    def _summary(self, began_at: float, audio_out: AudioOut, reason: Reason) -> dict[str, object]:
        return {
            "call": self._id,
            "session": self._session_id,
            "reason": str(reason),
            "seconds": round(self._clock() - began_at, 1),
            "frames": self._latency.frames,
            "dropped": self._audio_in.dropped,
            "left_out_ms": round(audio_out.left_out_s * 1000),
        }


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
