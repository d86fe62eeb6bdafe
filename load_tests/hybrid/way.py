"""What WebRTC takes there and back, without a framework: hums that a bare echo repeats."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np

from load_tests.callers.echoes import NOBODY, echoing
from load_tests.hybrid.model_server import ANSWER_HZ
from worker.caller.caller import SPEAKING_RATE, Caller, new_room
from worker.settings import LiveKitSettings

FRAME_MS = 20
"""As the sound of a hybrid call goes."""
_HUM_S, _PAUSE_S = 0.3, 0.7
_AT = np.arange(round(_HUM_S * SPEAKING_RATE)) / SPEAKING_RATE
HUM = (0.2 * 32767 * np.sin(2 * np.pi * ANSWER_HZ * _AT)).astype(np.int16)

HeardAt = Callable[[Caller, float], Awaitable[float]]


async def there_and_back_s(
    settings: LiveKitSettings, hums: int, heard_at: HeardAt, patience_s: float
) -> list[float]:
    """Of each hum the seconds from its first sample until its caller hears it, as `heard_at` hears answers.

    Raises EchoFailed, NoAgent.
    """
    nobody = settings.model_copy(update={"livekit_agent_name": NOBODY})
    room = new_room()
    took = []
    async with echoing(nobody, [room], FRAME_MS), Caller.join(nobody, room) as caller:
        await caller.wait_for_agent(patience_s)
        # The first one opens the way, and is not counted.
        for number in range(hums + 1):
            await caller.say(HUM)
            back_at = await heard_at(caller, caller.out_at[0])
            if number:
                took.append(back_at - caller.out_at[0])
            await asyncio.sleep(_PAUSE_S)
    return took
