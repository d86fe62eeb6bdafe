import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from engine.errors import EngineError
from engine.step.frames import FRAME_SAMPLES
from load_tests.callers.one_call import Seat
from load_tests.callers.recorded import CallRecorded
from load_tests.sockets import call as calling
from worker.caller.microphone import SPEAKING_RATE

SAID_S, LISTENED_S = 0.4, 0.16
FRAMES = 7


class EchoLine:
    """Gives each frame back as soon as it is whole; `breaks` after so many of them."""

    model = "echo"
    piece_s = 0.04

    def __init__(self, breaks: int | None = None) -> None:
        self.ended = False
        self.listened_to = asyncio.Event()
        self._breaks = breaks
        self._whole: asyncio.Queue[int] = asyncio.Queue()

    async def send(self, number: int) -> None:
        if number % 2:
            await self._whole.put(number // 2)

    async def answers(self) -> AsyncIterator[bytes]:
        self.listened_to.set()
        while True:
            frame = await self._whole.get()
            if frame == self._breaks:
                raise EngineError("out of order")
            yield np.full(FRAME_SAMPLES, frame, "<i2").tobytes()

    async def end(self) -> None:
        self.ended = True

    def decoded(self, answers: list[bytes]) -> Any:
        return np.frombuffer(b"".join(answers), "<i2")


async def recorded(monkeypatch: pytest.MonkeyPatch, line: EchoLine, **seat: Any) -> CallRecorded:
    @asynccontextmanager
    async def opened() -> AsyncIterator[EchoLine]:
        yield line

    async def line_of(_seat: Seat, _pcm: Any) -> Any:
        return opened()

    async def start() -> float:
        # Who waits for the others listens: an engine hangs up on who does not answer its pings.
        await asyncio.wait_for(line.listened_to.wait(), 5)
        return asyncio.get_running_loop().time()

    monkeypatch.setattr(calling, "_line", line_of)
    monkeypatch.setattr(calling, "LISTENS_ON_S", LISTENED_S)
    says = np.zeros(round(SAID_S * SPEAKING_RATE), np.int16)
    mine = Seat(0, "session", "session-0", "ws://nowhere", "", **seat)
    return await calling.call(mine, says, start, lambda: None)


async def test_every_frame_is_answered_and_timed_from_when_it_was_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = EchoLine()
    call = await recorded(monkeypatch, line)
    assert (call.refused, call.lost, line.ended) == (None, None, True)
    assert call.latency["frames"] == FRAMES
    assert 0 <= call.latency["p50_ms"] <= call.latency["p99_ms"]
    assert call.heard.reshape(FRAMES, -1)[:, 0].tolist() == list(range(FRAMES))
    # A frame is whole after 80 ms, and its first 20 ms are over 20 ms after that.
    assert call.arrived_at_s[0] >= 0.1
    assert len(call.arrived_at_s) == len(call.heard)
    assert len(call.out_at_s) == round((SAID_S + LISTENED_S) / 0.02)


async def test_a_call_that_breaks_off_says_why_and_what_was_not_answered_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = await recorded(monkeypatch, EchoLine(breaks=3))
    assert call.lost is not None
    assert call.lost.startswith("out of order, after 0.")
    assert call.latency["frames"] == 3
    assert call.latency["missed"] >= 1


async def test_who_speaks_the_script_of_another_keeps_times_and_no_sound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = await recorded(monkeypatch, EchoLine(), script=5)
    assert len(call.arrived_at_s) == 4 * FRAMES
    assert not len(call.heard)


async def test_where_nobody_answers_the_caller_is_refused() -> None:
    seat = Seat(0, "session", "session-0", "ws://127.0.0.1:9", "")
    says = np.zeros(SPEAKING_RATE, np.int16)

    async def never() -> float:
        raise AssertionError

    call = await calling.call(seat, says, never, never)  # type: ignore[arg-type]  # neither is called
    assert call.refused is not None
    assert call.refused.startswith("no engine answers at ws://127.0.0.1:9")
    assert call.refused_after_s is not None
