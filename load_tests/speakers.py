"""`python -m load_tests.speakers URL N SECONDS CHUNK_MS`: N sessions that speak in real time to an engine.

Says `speaking` when all are open, at the end a line of JSON: how many frames were answered, and how soon.
"""

import asyncio
import json
import sys

import numpy as np

from engine.client import EngineClient, EngineSession
from engine.protocol import FRAME_BYTES, Audio, SessionRequest
from engine.step.frames import FRAME_S


async def speak(session: EngineSession, begin: float, seconds: float, chunk_s: float) -> list[float]:
    """Chunks at their times from `begin` on; how long after its frame was complete each answer came."""
    clock = asyncio.get_running_loop().time
    chunk = bytes(round(chunk_s / FRAME_S * FRAME_BYTES) // 2 * 2)
    waits: list[float] = []

    async def listen() -> None:
        async for event in session:
            if isinstance(event, Audio):
                waits.append(clock() - (begin + (event.frame + 1) * FRAME_S))

    listening = asyncio.create_task(listen())
    for number in range(1, round(seconds / chunk_s) + 1):
        await asyncio.sleep(max(0.0, begin + number * chunk_s - clock()))
        await session.send(chunk)
    await asyncio.sleep(2 * FRAME_S)
    await session.end()
    await listening
    return waits


async def main(url: str, count: int, seconds: float, chunk_s: float) -> None:
    async with EngineClient(url) as engine:
        sessions = [await engine.open(SessionRequest()) for _ in range(count)]
        print("speaking", flush=True)
        begin = asyncio.get_running_loop().time()
        # Out of phase with each other, as callers are.
        spoken = await asyncio.gather(
            *(
                speak(session, begin + number / count * FRAME_S, seconds, chunk_s)
                for number, session in enumerate(sessions)
            )
        )
    waits = [1000 * wait for session in spoken for wait in session]
    p50, p99 = np.percentile(waits, (50, 99)) if waits else (0.0, 0.0)
    sent = count * int(seconds / FRAME_S + 1e-6)
    print(json.dumps({"sent": sent, "answered": len(waits), "p50_ms": float(p50), "p99_ms": float(p99)}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]) / 1000))
