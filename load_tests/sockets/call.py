"""One call over a socket, from opening to hanging up; what came of it."""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.step.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE
from load_tests.callers.one_call import LISTENS_ON_S, Seat, Start
from load_tests.callers.recorded import PIECE_S, PIECE_SAMPLES, CallRecorded
from load_tests.callers.times import CAPTURE_S
from load_tests.sockets.chat_line import ChatLine, coded
from load_tests.sockets.line import Line
from load_tests.sockets.session_line import SessionLine
from worker.caller.microphone import SPEAKING_RATE
from worker.signs import attributes

_LAST_WORDS_S = 2.0
_GOLDEN = 0.618034
_PIECES = round(FRAME_S / PIECE_S)


async def call(seat: Seat, says: NDArray[np.int16], start: Start, ready: Callable[[], None]) -> CallRecorded:
    """As `load_tests.callers.one_call.call`, over a socket of the engine.

    Callers are out of phase with each other, as people are. Sound is kept only of those who speak a script of
    their own; of all, when answers came.
    """
    nothing = CallRecorded(seat.number, seat.kind, seat.room)
    pcm = np.pad(says[:: SPEAKING_RATE // SAMPLE_RATE], (0, round(LISTENS_ON_S * SAMPLE_RATE)))
    async with AsyncExitStack() as until_end:
        opening = await _line(seat, pcm)
        connects_at = time.monotonic()
        try:
            line = await until_end.enter_async_context(opening)
        except EngineError as refusal:
            after_s = time.monotonic() - connects_at
            return replace(nothing, refused=str(refusal), refused_after_s=after_s)
        joined_s = time.monotonic() - connects_at
        conversation = _Conversation(line, len(pcm))
        until_end.callback(conversation.close)
        ready()
        begins_at = await start()
        await conversation.run(begins_at + seat.number * _GOLDEN % 1 * FRAME_S)
    recorded = conversation.recorded(nothing, begins_at, keeps=seat.script is None)
    return replace(recorded, join_s=joined_s)


async def _line(seat: Seat, pcm: NDArray[np.int16]) -> AbstractAsyncContextManager[Line]:
    if seat.kind == "chat":
        return ChatLine.open(seat.url, seat.token, await asyncio.to_thread(coded, pcm))
    return SessionLine.open(seat.url, seat.token, pcm, seat.piece_s)


class _Conversation:
    """Listens from the start, since an engine hangs up on who answers no ping; speaks open loop."""

    def __init__(self, line: Line, samples: int) -> None:
        self._line = line
        self._begins_at = math.inf
        self._frames = samples // FRAME_SAMPLES
        self._pieces = round(self._frames * FRAME_S / line.piece_s)
        self._sent_at: list[float] = []
        self._arrived_at: list[float] = []
        self._sounds: list[bytes] = []
        self._lost: str | None = None
        self._listening = asyncio.create_task(self._listen())

    def close(self) -> None:
        """Listen no longer."""
        self._listening.cancel()

    async def run(self, begins_at: float) -> None:
        """Speak from then on, until all is said and answered, or the call is over."""
        self._begins_at = begins_at
        listening = self._listening
        speaking = asyncio.create_task(self._speak())
        await asyncio.wait((listening, speaking), return_when=asyncio.FIRST_COMPLETED)
        if not speaking.done() and len(self._arrived_at) < self._frames:
            speaking.cancel()
            after_s = time.monotonic() - self._begins_at
            self._lost = f"{self._lost or 'the engine ended the call'}, after {after_s:.1f} s"
        else:
            await speaking
            self._lost = None
            await asyncio.wait((listening,), timeout=_LAST_WORDS_S)
            listening.cancel()
            await self._line.end()
        await asyncio.gather(listening, speaking, return_exceptions=True)

    async def _speak(self) -> None:
        for number in range(self._pieces):
            # A piece can go when all of it was said.
            due_at = self._begins_at + (number + 1) * self._line.piece_s
            await asyncio.sleep(max(0.0, due_at - time.monotonic()))
            self._sent_at.append(time.monotonic())
            await self._line.send(number)

    async def _listen(self) -> None:
        try:
            async for sound in self._line.answers():
                self._arrived_at.append(time.monotonic())
                self._sounds.append(sound)
                if len(self._arrived_at) == self._frames:
                    return
        except EngineError as gone:
            self._lost = str(gone)

    def recorded(self, nothing: CallRecorded, begins_at: float, *, keeps: bool) -> CallRecorded:
        """What came of it, in seconds since `begins_at`; with its sound if `keeps`."""
        begins_at_s = self._begins_at - begins_at
        arrived_at_s = np.array(self._arrived_at) - begins_at
        # A listener plays what has come from that moment on.
        whole_at_s = arrived_at_s[:, None] + PIECE_S * np.arange(1, _PIECES + 1)
        sound = self._line.decoded(self._sounds) if keeps and self._sounds else np.zeros(0, np.int16)
        if len(sound):
            samples = whole_at_s.size * PIECE_SAMPLES
            sound = np.pad(sound, (0, max(0, samples - len(sound))))[:samples]
        return replace(
            nothing,
            lost=self._lost,
            due_at_s=begins_at_s + CAPTURE_S,
            out_at_s=self._out_at_s(begins_at),
            heard=sound.reshape(-1, PIECE_SAMPLES),
            arrived_at_s=whole_at_s.reshape(-1),
            latency=self._latency(arrived_at_s - begins_at_s),
            attributes={attributes.MODEL: self._line.model},
        )

    def _out_at_s(self, begins_at: float) -> NDArray[np.float64]:
        """When each PIECE_S was said, as late as the message was that it travelled in."""
        numbers = np.arange(int(len(self._sent_at) * self._line.piece_s / PIECE_S + 1e-6))
        message = (numbers * PIECE_S / self._line.piece_s + 1e-6).astype(int)
        due_at = self._begins_at + (np.arange(len(self._sent_at)) + 1) * self._line.piece_s
        late_s = np.maximum(0.0, np.array(self._sent_at) - due_at)
        return np.asarray(self._begins_at - begins_at + CAPTURE_S + numbers * PIECE_S + late_s[message])

    def _latency(self, arrived_at_s: NDArray[np.float64]) -> dict[str, float]:
        """As an agent tells it: one answer for each frame that was whole, or it counts as missed."""
        whole = int(len(self._sent_at) * self._line.piece_s / FRAME_S + 1e-6)
        waited_s = arrived_at_s - FRAME_S * np.arange(1, len(arrived_at_s) + 1)
        missed = int((waited_s > FRAME_S).sum()) + max(0, whole - len(waited_s))
        counted: dict[str, float] = {"frames": len(waited_s), "missed": missed}
        if not len(waited_s):
            return counted
        p50, p95, p99 = (1000 * float(each) for each in np.percentile(waited_s, (50, 95, 99)))
        return counted | {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99}
