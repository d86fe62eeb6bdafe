"""Sessions that leave their slot and come back, between the frames of others."""

import time
from queue import Queue

import numpy as np

from engine.step.frames import Frame, Sampling, SlotRef, StepResult
from engine.step.loop import StepLoop
from engine.step.moves import Copy, HostCopy, Lift, Move, Restore
from engine.step.ready_queue import Join, ReadyQueue
from tests.engine.fake_runner import FakeRunner

SILENCE = np.zeros(1920, np.int16)
FIRST, SECOND, THIRD = (SlotRef(0, generation) for generation in (1, 3, 5))
OTHER = SlotRef(1, 1)


def frame(slot: SlotRef, number: int = 0) -> Frame:
    return Frame(slot, number, SILENCE, complete_at=0.0)


def test_a_session_is_copied_out_when_its_last_frame_is_answered() -> None:
    queue = ReadyQueue()
    frames, lift = [frame(FIRST, number) for number in range(2)], Lift(FIRST, HostCopy())
    queue.put(frames[0])
    queue.put(frames[1])
    queue.move(lift)
    assert [queue.take(), queue.take(), queue.take()] == [[frames[0]], [frames[1]], lift]


def test_a_session_is_copied_between_its_frames_and_stays() -> None:
    queue = ReadyQueue()
    copy = Copy(FIRST, HostCopy())
    queue.put(frame(FIRST, 0))
    queue.move(copy)
    queue.join(Join(SECOND, Sampling()))
    assert [queue.take(), queue.take()] == [[frame(FIRST, 0)], copy]
    queue.put(frame(FIRST, 1))
    assert queue.take() == [frame(FIRST, 1)]
    assert queue.take(wait_s=0.01) == [], "who joins in its slot waits until the copy is over"
    queue.moved()
    assert queue.take() == [Join(SECOND, Sampling())]


def test_who_joins_in_a_slot_waits_until_the_session_before_is_copied_out() -> None:
    queue = ReadyQueue()
    lift, join = Lift(FIRST, HostCopy()), Join(SECOND, Sampling())
    queue.move(lift)
    queue.join(join)
    queue.put(frame(SECOND))
    assert queue.take() == lift
    assert queue.take(wait_s=0.01) == []
    queue.put(frame(OTHER))
    assert queue.take() == [frame(OTHER)]
    queue.moved()
    assert [queue.take(), queue.take()] == [[join], [frame(SECOND)]]


def test_a_session_that_comes_back_is_copied_in_before_its_next_frame() -> None:
    queue = ReadyQueue()
    restore = Restore(FIRST, HostCopy())
    queue.put(frame(OTHER))
    queue.move(restore)
    queue.put(frame(FIRST))
    assert [queue.take(), queue.take()] == [restore, [frame(OTHER)]]
    queue.moved()
    assert queue.take() == [frame(FIRST)]


def test_sessions_change_places_one_after_the_other() -> None:
    queue = ReadyQueue()
    away, back = HostCopy(), HostCopy()
    moves: list[Move] = [Lift(FIRST, away), Restore(SECOND, back), Lift(SECOND, back), Restore(THIRD, away)]
    for move in moves:
        queue.move(move)
    taken = []
    for _ in moves:
        taken.append(queue.take())
        assert queue.take(wait_s=0.01) == []
        queue.moved()
    assert taken == moves


def test_nothing_is_copied_for_a_session_that_has_ended() -> None:
    queue = ReadyQueue()
    queue.move(Restore(FIRST, HostCopy()))
    queue.move(Lift(SlotRef(2, 1), HostCopy()))
    queue.leave(FIRST)
    queue.leave(SlotRef(2, 1))
    assert queue.take(wait_s=0.01) == []


def test_whoever_moves_sessions_all_the_time_leaves_every_other_step_to_the_frames() -> None:
    queue = ReadyQueue()
    for generation in range(1, 4):
        queue.move(Restore(SlotRef(5, generation), HostCopy()))
    for number in range(2):
        queue.put(frame(OTHER, number))
    kinds = []
    for _ in range(5):
        work = queue.take()
        kinds.append(type(work).__name__)
        if isinstance(work, Restore):
            queue.moved()
    assert kinds == ["Restore", "list", "Restore", "list", "Restore"]


class Running:
    """A loop over a fake runner; `moves` are those that are over."""

    def __init__(self) -> None:
        self.runner = FakeRunner()
        self.queue = ReadyQueue()
        self.results: Queue[list[StepResult]] = Queue()
        self.moves: Queue[tuple[Move, bool]] = Queue()
        self.failed: Queue[bool] = Queue()
        self.loop = StepLoop(
            self.runner,
            self.queue,
            self.results.put,
            lambda: self.failed.put(True),
            moved=lambda move, arrived: self.moves.put((move, arrived)),
        )

    def __enter__(self) -> "Running":
        self.loop.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.open_gate.set()
        self.loop.stop()

    def say(self, slot: SlotRef) -> int:
        """How many frames the session has answered, this one too."""
        self.queue.put(frame(slot))
        return self.results.get(timeout=60)[0].text_token


def test_others_are_stepped_while_a_session_is_copied() -> None:
    with Running() as running:
        running.queue.join(Join(FIRST, Sampling()))
        running.queue.join(Join(OTHER, Sampling()))
        running.runner.copied.clear()
        running.queue.move(Lift(FIRST, HostCopy()))
        running.queue.join(Join(SECOND, Sampling()))
        running.queue.put(frame(SECOND))
        assert [running.say(OTHER) for _ in range(3)] == [1, 2, 3]
        assert running.moves.empty()
        running.runner.copied.set()
        assert running.results.get(timeout=60)[0].frame.slot == SECOND
    assert running.runner.lifted == [0]


def test_a_session_goes_on_in_another_slot() -> None:
    with Running() as running:
        running.queue.join(Join(FIRST, Sampling()))
        assert [running.say(FIRST) for _ in range(3)] == [1, 2, 3]
        copy = HostCopy()
        running.queue.move(Lift(FIRST, copy))
        running.queue.move(Restore(OTHER, copy))
        assert running.say(OTHER) == 4
        assert [running.moves.get(timeout=60)[1] for _ in range(2)] == [True, True]


def test_a_copy_that_finds_no_memory_costs_one_session() -> None:
    with Running() as running:
        running.queue.join(Join(FIRST, Sampling()))
        running.runner.no_memory = True
        lift = Lift(FIRST, HostCopy())
        running.queue.move(lift)
        running.queue.join(Join(SECOND, Sampling()))
        assert running.say(SECOND) == 1
        assert running.moves.get(timeout=60) == (lift, False)
        running.queue.move(Restore(OTHER, lift.copy))
        assert running.moves.get(timeout=60)[1] is False
        assert running.say(SECOND) == 2
    assert running.failed.empty()


def test_the_loop_tells_which_work_it_is_at() -> None:
    with Running() as running:
        running.queue.join(Join(FIRST, Sampling()))
        running.say(FIRST)
        running.runner.open_gate.clear()
        running.runner.stepping.clear()
        running.queue.put(frame(FIRST, 1))
        assert running.runner.stepping.wait(60)
        before = running.loop.working_on
        running.runner.open_gate.set()
        running.results.get(timeout=60)
        deadline = time.monotonic() + 60
        while running.loop.working_on is not None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert (before, running.loop.working_on) == (3, None)
