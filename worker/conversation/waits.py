"""How long the caller waited for each answer, told to the engine and to the caller's app."""

import asyncio
import logging
from dataclasses import asdict

from livekit import rtc

from engine.protocol import Audio, Report
from worker.conversation.latency import INTERVAL_S, TOPIC, CallLatency
from worker.room.audience import Audience
from worker.sound.audio_out import Played
from worker.sound.sound_counts import SoundCounts

log = logging.getLogger(__name__)

_MOST_AWAITED = 100


class Waits:
    """Of one conversation. Times in monotonic seconds."""

    def __init__(self) -> None:
        self._latency = CallLatency()
        self._arrived_at: dict[int, float] = {}
        self._told = SoundCounts()

    def summary(self) -> dict[str, float]:
        """Of the whole conversation, for a log line."""
        return self._latency.summary()

    def answered(self, answer: Audio) -> None:
        """An answer has come, which says how long the engine took."""
        self._latency.stepped(answer.queue_us / 1e6, answer.step_us / 1e6)

    def begin(self, number: int, arrived_at: float) -> None:
        """The caller's frame of this number, which arrived then, is sent."""
        self._arrived_at[number] = arrived_at
        while len(self._arrived_at) > _MOST_AWAITED:
            # Its answer was not played: the room takes no sound, or something was announced.
            del self._arrived_at[next(iter(self._arrived_at))]

    def forget(self) -> None:
        """No answer comes to what was sent."""
        self._arrived_at.clear()

    def end(self, played: Played, jitter_s: float | None, counts: SoundCounts) -> Report | None:
        """An answer was played: what is to be reported of it, None if it was no answer. jitter_s: delay of
        the caller's jitter buffer, if it is known; counts: what went wrong with the sound so far.
        """
        arrived_at = self._arrived_at.pop(played.frame, None)
        if arrived_at is None:
            return None
        worker_s = played.handed_at - arrived_at
        self._latency.add(jitter_s, worker_s, played.queued_s)
        new, self._told = counts.since(self._told), counts
        return Report(
            played.frame,
            worker_us=microseconds(worker_s),
            playout_us=microseconds(played.queued_s),
            jitter_us=None if jitter_s is None else microseconds(jitter_s),
            **asdict(new),
        )

    async def tell(self, me: rtc.LocalParticipant, audience: Audience, call_id: str) -> None:
        """Tell the audience every INTERVAL_S, on `moshi.latency`."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            if not self._latency.frames:
                continue
            try:
                await me.send_text(self._latency.to_json(), topic=TOPIC, **audience.addressed())
            except Exception:
                # The SDK has no narrower error. What is lost now is told again.
                log.warning("the latency could not be told", exc_info=True, extra={"call": call_id})


def microseconds(seconds: float) -> int:
    """As the protocol has times."""
    return round(seconds * 1e6)
