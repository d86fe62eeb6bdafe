"""Which slots are free. Knows nothing of what lies in them."""

from collections import deque

from engine.step.frames import SlotRef


class SlotPool:
    """`size` slots, handed out longest-free first, each time under a new generation."""

    def __init__(self, size: int) -> None:
        self._free = deque(range(size))
        self._generations = [0] * size

    @property
    def free_slots(self) -> int:
        """How many are free."""
        return len(self._free)

    def take(self) -> SlotRef:
        """A free slot. Whoever calls has checked that there is one."""
        index = self._free.popleft()
        self._generations[index] += 1
        return SlotRef(index, self._generations[index])

    def free(self, slot: SlotRef) -> None:
        """Give a slot back."""
        assert self._generations[slot.index] == slot.generation, (
            "a slot is freed once, by the session that took it"
        )
        self._generations[slot.index] += 1
        self._free.append(slot.index)
