"""Work on batches of any size, captured for a few sizes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from engine.step.cuda_graph import Work
from engine.step.staging import Staging

NO_SLOT = -1
"""The slot of a row that is there to fill up a batch: nothing is read or written for it."""
_SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)


class Graphs(Protocol):
    """What records work and replays it (`CudaGraphs`)."""

    def capture(self, work: Work) -> Work:
        """`work`, which always does the same on the same memory, as something that replays it."""

    def wait(self) -> None:
        """Until the device has done what this thread has asked for."""


class Captured:
    """`run(rows)` for up to `most` rows, whose slots are the first column of `staged`, int64."""

    def __init__(self, graphs: Graphs, staged: Staging, run: Callable[[int], None], most: int) -> None:
        """The largest is captured first. Rows without a slot leave no trace of it."""
        self._staged = staged
        self._replays = {}
        for size in reversed(batch_sizes(most)):
            staged.on_device(size)[0].fill_(NO_SLOT)
            self._replays[size] = graphs.capture(partial(run, size))

    def size(self, rows: int) -> int:
        """What a batch of so many rows is filled up to."""
        return min(size for size in self._replays if size >= rows)

    def __call__(self, slots: Sequence[int]) -> None:
        """Sends the batch of `slots` with what else is staged for it, and runs it."""
        size = self.size(len(slots))
        rows = self._staged.on_host(size)[0]
        rows[:, 0] = NO_SLOT
        rows[: len(slots), 0] = slots
        self._staged.send(size)
        self._replays[size]()


def batch_sizes(most: int) -> tuple[int, ...]:
    """The sizes that are captured for batches of 1 to `most` rows, ascending; the last is `most`."""
    return (*(size for size in _SIZES if size < most), most)
