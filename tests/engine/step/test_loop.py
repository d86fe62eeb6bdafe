from queue import Queue

import numpy as np

from engine.step.frames import Frame, Sampling, SlotRef, StepResult
from engine.step.loop import StepLoop
from engine.step.prefix import Prefix
from engine.step.ready_queue import Join, ReadyQueue
from tests.engine.fake_runner import FakeRunner


class Running:
    """A loop over a fake runner whose clock counts its readings."""

    def __init__(self) -> None:
        self.runner = FakeRunner()
        self.queue = ReadyQueue()
        self.results: Queue[list[StepResult]] = Queue()
        self.failures: Queue[bool] = Queue()
        readings = iter(range(1000))
        self.loop = StepLoop(
            self.runner,
            self.queue,
            self.results.put,
            lambda: self.failures.put(True),
            clock=lambda: float(next(readings)),
        )

    def __enter__(self) -> "Running":
        self.loop.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.open_gate.set()
        self.loop.stop()

    def join(self, slot: int) -> None:
        self.queue.join(Join(SlotRef(slot, 1), Sampling(seed=slot)))

    def put(self, slot: int, number: int) -> None:
        pcm = np.full(1920, 100 * slot + number, np.int16)
        self.queue.put(Frame(SlotRef(slot, 1), number, pcm, complete_at=-1.0))


def test_every_frame_gets_its_own_answer_with_the_times_of_its_step() -> None:
    with Running() as running:
        running.runner.open_gate.clear()
        for slot in (0, 1):
            running.join(slot)
        for slot in (0, 1):
            running.put(slot, 0)
        running.runner.open_gate.set()
        answers = running.results.get(timeout=60)
        while len(answers) < 2:
            answers += running.results.get(timeout=60)
    assert [(a.frame.slot.index, int(a.pcm[0]), a.text_token) for a in answers] == [(0, 0, 1), (1, 100, 1)]
    assert all(a.ended_at == a.began_at + 1 for a in answers)


def test_a_slot_is_joined_with_its_sampling_before_its_first_frame() -> None:
    with Running() as running:
        running.join(7)
        running.put(7, 0)
        running.results.get(timeout=60)
    assert running.runner.joined == [{7: Sampling(seed=7)}]


def test_frames_that_come_during_a_step_share_the_next_one() -> None:
    with Running() as running:
        for slot in range(4):
            running.join(slot)
        running.runner.open_gate.clear()
        running.put(0, 0)
        assert running.runner.stepping.wait(60)
        for slot in (1, 2, 3):
            running.put(slot, 0)
        running.runner.open_gate.set()
        sizes = [len(running.results.get(timeout=60)) for _ in range(2)]
    assert sizes == [1, 3]
    assert running.runner.batches == [[0], [1, 2, 3]]


def test_a_step_that_fails_is_told_and_ends_the_loop() -> None:
    with Running() as running:
        running.runner.broken = "out of memory"
        running.join(0)
        running.put(0, 0)
        assert running.failures.get(timeout=60)
    assert running.results.empty()


def test_a_prefix_reaches_the_runner_part_by_part_and_then_its_sessions_frames() -> None:
    with Running() as running:
        prefix = Prefix(np.zeros((17, 300), np.int64))
        running.queue.join(Join(SlotRef(3, 1), Sampling(), prefix))
        running.put(3, 0)
        running.results.get(timeout=60)
    assert running.runner.prefilled == [(3, range(0, 256)), (3, range(256, 300))]
    assert running.runner.calls == ["prefill", "prefill", "step"]
