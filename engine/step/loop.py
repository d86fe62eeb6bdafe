"""The thread that owns the device: take what is ready, run it, hand the answers back. Knows no socket."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import Frame, OwnFrame, Sampling, StepResult
from engine.step.moves import Copying, Move, Mover
from engine.step.ready_queue import Join, Prefill, ReadyQueue, Work
from engine.step.turns import Turns

if TYPE_CHECKING:
    from engine.step.prefix import Prefix

log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class StepOutput:
    """A step's answers: `pcm` int16 [B, 1920], `text` int64 [B], `codes` and `user_codes` int64 [B, K].

    A model that only listens has no samples and no codes of its own; some of them have `pauses`, float32
    [B, H], how likely the speaker pauses now, by each head.
    """

    pcm: NDArray[np.int16]
    text: NDArray[np.int64]
    codes: NDArray[np.int64]
    user_codes: NDArray[np.int64]
    pauses: NDArray[np.float32] | None = None


class Runner(Copying, Protocol):
    """The model on a device, called from one thread alone."""

    def join(self, joins: Mapping[int, Sampling]) -> None:
        """Give each slot a fresh state and prime it, so that its first frame is answered with sound."""

    def prefill(self, slot: int, sampling: Sampling, prefix: "Prefix", positions: range) -> None:
        """Instead of `join`: run the next `positions` of a prefix in a slot that gets a fresh state with the
        first of them, and `sampling` with the last.
        """

    def step(
        self, slots: Sequence[int], pcm: NDArray[np.int16], own: Sequence[OwnFrame | None] = ()
    ) -> StepOutput:
        """Answer one frame of each slot. `pcm` is int16 [B, 1920]; no slot stands twice in `slots`.

        own: what each of them is to take for its own words; () for nothing at all.
        """


class StepLoop:
    """Steps `runner` on a thread of its own until `stop`. `turns`: those of the device, where another model
    runs on it as well.

    `deliver` gets the answers of each step, `moved` each session that has left its slot or come back, and
    whether that went well; `failed` is called once an error has ended the loop. All on the step's thread.
    """

    def __init__(
        self,
        runner: Runner,
        queue: ReadyQueue,
        deliver: Callable[[list[StepResult]], None],
        failed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        moved: Callable[[Move, bool], None] = lambda _move, _arrived: None,
        turns: Turns | None = None,
    ) -> None:
        self._runner = runner
        self._queue = queue
        self._deliver = deliver
        self._failed = failed
        self._clock = clock
        self._moved = moved
        self._turns = turns or Turns()
        self._mover = Mover(runner, self._end_move)
        self._works = 0
        self._busy = False
        self._thread = Thread(target=self._run, name="step", daemon=True)

    def start(self) -> None:
        """Begin to step."""
        self._thread.start()

    @property
    def working_on(self) -> int | None:
        """Which work the thread is at, counted from 1; None while it waits."""
        return self._works if self._busy else None

    def stop(self, patience_s: float = STOP_TIMEOUT_S) -> None:
        """End after the step that is running; a device that hangs is given up after a while."""
        self._queue.close()
        self._thread.join(patience_s)

    def _run(self) -> None:
        try:
            while (work := self._queue.take(self._mover.wait_s)) is not None:
                with self._turns.next() as had_to_wait:
                    self._works += 1
                    self._busy = True
                    self._do(work, had_to_wait=had_to_wait)
                    self._mover.poll()
                    self._busy = False
        except Exception:
            # Whatever it is, every session must hear of it.
            log.exception("the step failed")
            self._failed()

    def _do(self, work: Work, *, had_to_wait: bool) -> None:
        if isinstance(work, Prefill):
            self._prefill(work)
        elif not isinstance(work, list):
            self._mover.begin(work)
        elif joins := [item for item in work if isinstance(item, Join)]:
            self._runner.join({join.slot.index: join.sampling for join in joins})
        elif frames := [item for item in work if isinstance(item, Frame)]:
            self._deliver(self._step(self._queue.filled_up(frames) if had_to_wait else frames))

    def _end_move(self, move: Move, arrived: bool) -> None:
        self._queue.moved()
        self._moved(move, arrived)

    def _prefill(self, part: Prefill) -> None:
        join = part.join
        assert join.prefix is not None, "the queue makes parts of a prefix alone"
        self._runner.prefill(join.slot.index, join.sampling, join.prefix, part.positions)

    def _step(self, frames: list[Frame]) -> list[StepResult]:
        began_at = self._clock()
        slots = [frame.slot.index for frame in frames]
        own = [frame.own for frame in frames] if any(frame.own for frame in frames) else ()
        out = self._runner.step(slots, np.stack([frame.pcm for frame in frames]), own)
        ended_at = self._clock()
        return [
            StepResult(
                frame,
                out.pcm[row],
                int(out.text[row]),
                began_at,
                ended_at,
                () if out.pauses is None else tuple(out.pauses[row].tolist()),
            )
            for row, frame in enumerate(frames)
        ]
