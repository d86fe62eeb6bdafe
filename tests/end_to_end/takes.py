"""What callers say until it comes back to them: a machine that is busy cuts some of it."""

import asyncio
from contextlib import suppress
from itertools import count, islice

import numpy as np

from engine.step.frames import SAMPLE_RATE
from tests.end_to_end.sounds import TONES_HZ, keyed_phrases, share
from tests.worker.waiting import until
from worker.caller.caller import Caller

TAKES = 5
PHRASE_S = 2.0
LOUD = 500
LATEST_S = 4.0
"""The parrot repeats after a second."""
# No take has a tone of the one before, which may still be on its way back.
_TAKES = count(step=2)


async def hear_themselves(*callers: Caller, takes: int = TAKES) -> bool:
    """Whether to each of them, one or two, comes back what they say at the same time, and nothing else.

    True as soon as much of it has come: the rest is still heard when this has ended.
    """
    for take in islice(_TAKES, takes):
        tones = {caller: TONES_HZ[(take + place) % len(TONES_HZ)] for place, caller in enumerate(callers)}
        await _say(tones)
        with suppress(TimeoutError):
            await _until_it_comes_back(tones)
            return True
    return False


async def _say(tones: dict[Caller, int]) -> None:
    async with asyncio.TaskGroup() as speaking:
        for caller, hz in tones.items():
            (phrase,) = keyed_phrases(hz, 1, pause_s=0, phrase_s=PHRASE_S)
            speaking.create_task(caller.say(phrase))


async def _until_it_comes_back(tones: dict[Caller, int]) -> None:
    await until(lambda: all(_hears(caller, hz) for caller, hz in tones.items()), LATEST_S)


def _hears(caller: Caller, tone_hz: float) -> bool:
    """Whether the last second is that tone, and much of it."""
    last = caller.heard[-SAMPLE_RATE:]
    return int(np.count_nonzero(np.abs(last) > LOUD)) > SAMPLE_RATE / 4 and share(last, tone_hz) > 0.6
