"""`python -m load_tests.visits.process`: callers in one process who come and go.

Reads its orders from standard input, a line of JSON. Says `ready` when their sentences are recorded, reads
the time from which all visits count, and says `done` when the last of its callers has left.
"""

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path

from engine.errors import UserError
from load_tests.callers.crowd import USER_ERROR
from load_tests.callers.one_call import Seat
from load_tests.callers.orders import Orders
from load_tests.callers.process import call
from load_tests.callers.script import Script

_DRAWS_BREATH_S = 0.1
_PREPARES_S = 1.0


async def _run(orders: Orders) -> None:
    # Made again when it is needed, from the recordings that exist then: all at once they take much memory.
    for seat in orders.seats:
        await asyncio.to_thread(Script.of, orders.seed, seat.speaks_as, seat.seconds)
    print("ready", flush=True)
    begins_at = float(await asyncio.to_thread(sys.stdin.readline))
    async with asyncio.TaskGroup() as visits:
        for seat in orders.seats:
            visits.create_task(_visit(seat, orders, begins_at))
    print("done", flush=True)


async def _visit(seat: Seat, orders: Orders, begins_at: float) -> None:
    joins_at = speaks_at = begins_at + seat.joins_at_s
    await asyncio.sleep(joins_at - _PREPARES_S - time.monotonic())
    says = (await asyncio.to_thread(Script.of, orders.seed, seat.speaks_as, seat.seconds)).pcm

    async def start() -> float:
        nonlocal speaks_at
        speaks_at = time.monotonic() + _DRAWS_BREATH_S
        return speaks_at

    await asyncio.sleep(joins_at - time.monotonic())
    recorded = replace(await call(seat, says, start, lambda: None), begins_at_s=speaks_at - begins_at)
    await asyncio.to_thread(recorded.write, Path(orders.folder))


if __name__ == "__main__":
    try:
        asyncio.run(_run(Orders.from_json(sys.stdin.readline())))
    except* UserError as errors:
        print(errors.exceptions[0], file=sys.stderr)
        raise SystemExit(USER_ERROR) from None
