"""One call from a browser, from joining to leaving; what came of it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError, SettingError
from load_tests.browser.caller import BrowserCaller
from load_tests.callers.line import LineMeasured, LineTotals
from load_tests.callers.one_call import LISTENS_ON_S, Seat, Start
from load_tests.callers.recorded import PIECE_S, PIECE_SAMPLES, CallRecorded
from worker.caller.microphone import SPEAKING_RATE


async def call(seat: Seat, says: NDArray[np.int16], start: Start, ready: Callable[[], None]) -> CallRecorded:
    """As `load_tests.callers.one_call.call`, in Chromium. Raises SettingError without a browser.

    Times are the browser's own: its sound is never late by that clock.
    """
    nothing = CallRecorded(seat.number, seat.kind, seat.room)
    connects_at = time.monotonic()
    try:
        async with BrowserCaller.enter(seat.url, seat.token) as caller:
            await caller.wait_for_agent()
            ready()
            return await _converse(caller, says, await start(), nothing)
    except SettingError:
        raise
    except EngineError as refusal:
        return replace(nothing, refused=str(refusal), refused_after_s=time.monotonic() - connects_at)


async def _converse(
    caller: BrowserCaller, says: NDArray[np.int16], begins_at: float, nothing: CallRecorded
) -> CallRecorded:
    before = await _totals(caller)
    speaking = asyncio.create_task(_speak(caller, says, begins_at))
    leaving = asyncio.create_task(caller.agent_left.wait())
    await asyncio.wait([speaking, leaving], return_when=asyncio.FIRST_COMPLETED)
    lost = None if speaking.done() else f"the agent was gone after {time.monotonic() - begins_at:.1f} s"
    for task in (speaking, leaving):
        task.cancel()
    failed, _ = await asyncio.gather(speaking, leaving, return_exceptions=True)
    if lost is None and isinstance(failed, EngineError):
        lost = str(failed)
    after = await _totals(caller)
    heard = caller.heard
    pieces = heard[: len(heard) // PIECE_SAMPLES * PIECE_SAMPLES].reshape(-1, PIECE_SAMPLES)
    return replace(
        nothing,
        lost=lost,
        join_s=caller.join_s,
        first_audio_s=caller.first_audio_s,
        out_at_s=_times(0, -(-len(says) // round(PIECE_S * SPEAKING_RATE))),
        heard=pieces,
        arrived_at_s=_times(1, len(pieces)),
        line=LineMeasured() if before is None or after is None else after.since(before),
        latency=caller.latencies[-1] if caller.latencies else {},
        attributes=caller.agent_attributes,
    )


async def _speak(caller: BrowserCaller, says: NDArray[np.int16], begins_at: float) -> None:
    await caller.say(says, begins_at)
    await asyncio.sleep(LISTENS_ON_S)


async def _totals(caller: BrowserCaller) -> LineTotals | None:
    try:
        return await caller.stats()
    except EngineError:
        return None


def _times(first: int, count: int) -> NDArray[np.float64]:
    """Seconds of so many pieces, one after the other."""
    return np.asarray(PIECE_S * np.arange(first, first + count), np.float64)
