"""How far sound that is made may run ahead of the clock by which it is heard."""

from collections.abc import Mapping

from engine.step.frames import FRAME_S, SlotRef

LEAD_S = 5.0
"""What a network that stalls may take without a gap; and all that is made in vain for who is interrupted."""


class Lead:
    """One speaker's. They are taken to be heard from the first frame on, as soon as there is one."""

    def __init__(self) -> None:
        self._heard_until = 0.0

    def wait_s(self, now: float) -> float:
        """How long the next frame has to wait; 0: not at all."""
        return max(0.0, self._heard_until - now - LEAD_S)

    def made(self, now: float) -> None:
        """A frame has been made."""
        self._heard_until = max(self._heard_until, now) + FRAME_S


def due(waits: Mapping[SlotRef, float]) -> list[SlotRef]:
    """Who is stepped now, of all who can be: once one need not wait any more, all go along who would be due
    before the next frame. One step for them together takes less than one for each.
    """
    if min(waits.values(), default=FRAME_S) > 0:
        return []
    return [slot for slot, wait_s in waits.items() if wait_s < FRAME_S]
