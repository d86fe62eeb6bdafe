"""`python -m load_tests.callers.process`: a few callers in one process, as `load_tests.callers.crowd` asks.

Reads its orders from standard input, a line of JSON. Says `ready` when each of its callers has an agent or
was refused, reads the time at which all begin, and says `done` when what each heard is in the orders' folder.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.step.frames import SAMPLE_RATE
from load_tests.callers import one_call
from load_tests.callers.crowd import USER_ERROR
from load_tests.callers.one_call import Seat, Start
from load_tests.callers.orders import Orders
from load_tests.callers.recorded import CallRecorded
from load_tests.callers.script import Script
from load_tests.measured import SOCKETS
from load_tests.phone import Line
from worker.caller.microphone import SPEAKING_RATE
from worker.tokens import accept_development_secret


async def _run(orders: Orders) -> None:
    begins_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    said = [Script.of(orders.seed, seat.speaks_as, orders.seconds).pcm for seat in orders.seats]
    settled = [asyncio.Event() for _ in orders.seats]

    async def one(place: int, seat: Seat) -> None:
        # One after the other: how long a join takes is not how long it waits for others in this process.
        await asyncio.sleep(seat.number * orders.join_spacing_s)
        try:
            recorded = await call(seat, said[place], lambda: asyncio.shield(begins_at), settled[place].set)
        finally:
            settled[place].set()
        await asyncio.to_thread(recorded.write, Path(orders.folder))

    async with asyncio.TaskGroup() as callers:
        for place, seat in enumerate(orders.seats):
            callers.create_task(one(place, seat))
        for event in settled:
            await event.wait()
        print("ready", flush=True)
        begins_at.set_result(float(await asyncio.to_thread(sys.stdin.readline)))
    print("done", flush=True)


async def call(seat: Seat, says: NDArray[np.int16], start: Start, ready: Callable[[], None]) -> CallRecorded:
    """As `one_call.call`, for callers of every kind."""
    if seat.kind in SOCKETS:
        from load_tests.sockets.call import call as call_engine

        return await call_engine(seat, says, start, ready)
    if seat.kind == "browser":
        from load_tests.browser.call import call as call_from_browser

        return await call_from_browser(seat, says, start, ready)
    if seat.kind == "phone":
        line = Line(seed=seat.number)
        recorded = await one_call.call(seat, line.carried(says, SPEAKING_RATE), start, ready)
        heard = line.carried(recorded.heard.reshape(-1), SAMPLE_RATE)
        return replace(recorded, heard=heard.reshape(recorded.heard.shape))
    return await one_call.call(seat, says, start, ready)


if __name__ == "__main__":
    accept_development_secret()
    try:
        asyncio.run(_run(Orders.from_json(sys.stdin.readline())))
    except* UserError as errors:
        print(errors.exceptions[0], file=sys.stderr)
        raise SystemExit(USER_ERROR) from None
