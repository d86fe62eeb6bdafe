"""One caller from joining to leaving; what came of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError, Refused
from engine.step.frames import FRAME_S
from load_tests.callers.door import let_in
from load_tests.callers.line import LineMeasured, LineTotals
from load_tests.callers.recorded import CallRecorded
from worker.caller.caller import Caller, NoAgent, NoConnection

LISTENS_ON_S = 3.5
"""How long callers listen after they have spoken: until the answer to their last words is over."""

Start = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Seat:
    """Which of the callers this is, and how it comes in.

    kind: as of CallMeasured. url, token: of the LiveKit server and the room; of the engine, for its sockets;
    of a worker's web page and its secret where `by_page`, and then the page says which room. script: whose
    script it speaks, None: its own. joins_at_s, seconds: of one who comes while others speak, when after all
    began, and for how long it speaks. piece_s: sound in a message of a session's socket.
    """

    number: int
    kind: str
    room: str
    url: str
    token: str
    by_page: bool = False
    script: int | None = None
    joins_at_s: float = 0.0
    seconds: float = 0.0
    piece_s: float = FRAME_S

    @property
    def speaks_as(self) -> int:
        """The number of its script."""
        return self.number if self.script is None else self.script


async def call(seat: Seat, says: NDArray[np.int16], start: Start, ready: Callable[[], None]) -> CallRecorded:
    """Join, say `ready` when the agent can be heard, speak from `start()` on, listen, leave.

    says: int16 [N] at SPEAKING_RATE. One who is refused returns at once.
    """
    nothing = CallRecorded(seat.number, seat.kind, seat.room)
    connects_at = time.monotonic()

    def refused(why: EngineError) -> CallRecorded:
        return replace(nothing, refused=str(why), refused_after_s=time.monotonic() - connects_at)

    try:
        url, token = seat.url, seat.token
        if seat.by_page:
            url, token, room = await let_in(seat.url, seat.token)
            nothing = replace(nothing, room=room)
        async with Caller.enter(url, token) as caller:
            try:
                await caller.wait_for_agent()
            except NoAgent as nobody:
                return refused(nobody)
            joined_s = time.monotonic() - connects_at
            ready()
            recorded = await _converse(caller, says, await start(), nothing)
            first_at = caller.first_frame_at
    except (Refused, NoConnection) as why:
        return refused(why)
    first_audio_s = None if first_at is None else first_at - connects_at
    return replace(recorded, join_s=joined_s, first_audio_s=first_audio_s)


async def _converse(
    caller: Caller, says: NDArray[np.int16], begins_at: float, nothing: CallRecorded
) -> CallRecorded:
    before, told = await _totals(caller), caller.agent_attributes
    speaking = asyncio.create_task(_speak(caller, says, begins_at))
    leaving = asyncio.create_task(caller.agent_left.wait())
    await asyncio.wait([speaking, leaving], return_when=asyncio.FIRST_COMPLETED)
    lost = None if speaking.done() else f"the agent was gone after {time.monotonic() - begins_at:.1f} s"
    for task in (speaking, leaving):
        task.cancel()
    await asyncio.gather(speaking, leaving, return_exceptions=True)
    after = await _totals(caller)
    pieces = caller.pieces
    return replace(
        nothing,
        lost=lost,
        due_at_s=caller.due_at - begins_at,
        out_at_s=np.array(caller.out_at) - begins_at,
        heard=np.array([pcm for _, pcm in pieces], np.int16).reshape(-1, nothing.heard.shape[1]),
        arrived_at_s=np.array([at for at, _ in pieces]) - begins_at,
        line=LineMeasured() if before is None or after is None else after.since(before),
        latency=caller.latencies[-1] if caller.latencies else {},
        attributes=told | caller.agent_attributes,
    )


async def _speak(caller: Caller, says: NDArray[np.int16], begins_at: float) -> None:
    await caller.say(says, begins_at)
    await asyncio.sleep(LISTENS_ON_S)


async def _totals(caller: Caller) -> LineTotals | None:
    # The SDK has no narrower error. Not to know the line must not end a call.
    try:
        return LineTotals.of(await caller.stats())
    except Exception:  # noqa: BLE001
        return None
