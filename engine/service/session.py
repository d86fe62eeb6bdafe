"""One conversation: sound of any length becomes frames of 80 ms, answers become events."""

import asyncio
import time
from collections.abc import Callable

import numpy as np

from engine.errors import SessionError
from engine.protocol import FRAME_BYTES, Audio, Ended, Event, Failure, Text
from engine.service.pace import Pace
from engine.step.frames import Frame, SlotRef, StepResult

_MAX_UNSENT_EVENTS = 500


class Session:
    """A session in its slot: `put` takes its complete frames, `events` holds what its client is to hear."""

    def __init__(
        self,
        session_id: str,
        slot: SlotRef,
        put: Callable[[Frame], None],
        piece: Callable[[int], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = session_id
        self.slot = slot
        self.events: asyncio.Queue[tuple[Event, StepResult | None]] = asyncio.Queue()
        self._put = put
        self._piece = piece
        self._clock = clock
        self._sound = bytearray()
        self._frames = 0
        self.ended = asyncio.Event()
        self._pace = Pace(clock)

    def count_message(self) -> None:
        """A message has come. Raises SessionError when they come too fast."""
        self._pace.message()

    def receive(self, pcm: bytes) -> None:
        """PCM s16le mono 24 kHz, any length; lost after the end.

        Raises SessionError when it comes much faster than real time.
        """
        if self.ended.is_set():
            return
        self._pace.sound(len(pcm))
        self._sound += pcm
        complete_at = self._clock()
        while len(self._sound) >= FRAME_BYTES:
            frame = np.frombuffer(bytes(self._sound[:FRAME_BYTES]), "<i2")
            del self._sound[:FRAME_BYTES]
            self._put(Frame(self.slot, self._frames, frame, complete_at))
            self._frames += 1

    def answer(self, result: StepResult) -> None:
        """Hand an answer on: the sound, then its word. Raises SessionError if nobody reads them."""
        if self.events.qsize() > _MAX_UNSENT_EVENTS:
            raise SessionError("the client does not read its answers")
        number = result.frame.number
        queue_us = round((result.began_at - result.frame.complete_at) * 1e6)
        step_us = round((result.ended_at - result.began_at) * 1e6)
        self.events.put_nowait((Audio(number, queue_us, step_us, result.pcm.astype("<i2").tobytes()), result))
        piece = self._piece(result.text_token)
        if piece:
            self.events.put_nowait((Text(number, piece), None))

    def finish(self, reason: str, failure: Failure | None = None) -> None:
        """The last events: why, and that it is over. The slot is no longer the session's."""
        self.ended.set()
        if failure is not None:
            self.events.put_nowait((failure, None))
        self.events.put_nowait((Ended(reason), None))
