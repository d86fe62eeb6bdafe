"""Two models on one device."""

import time
from collections.abc import Callable
from queue import Queue
from threading import Event, Thread

import numpy as np

from engine.step.frames import Frame, Sampling, SlotRef, StepResult
from engine.step.loop import StepLoop
from engine.step.ready_queue import Join, ReadyQueue
from engine.step.turns import Turns
from tests.engine.fake_runner import FakeRunner


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_who_came_first_is_first_and_who_comes_back_is_last() -> None:
    turns, order = Turns(), list[str]()
    may_end = Event()

    def take(name: str) -> None:
        with turns.next():
            order.append(name)
            may_end.wait(30)

    threads = []
    for name in "abca":
        threads.append(Thread(target=take, args=(name,)))
        threads[-1].start()
        until(lambda: turns.line == len(threads))
    assert order == ["a"]
    may_end.set()
    for thread in threads:
        thread.join(30)
    assert order == ["a", "b", "c", "a"]
    assert turns.line == 0


class Model:
    """A fake one with its loop, three of whose slots are taken."""

    def __init__(self, turns: Turns) -> None:
        self.runner, self.queue = FakeRunner(), ReadyQueue()
        self.results: Queue[list[StepResult]] = Queue()
        self.loop = StepLoop(self.runner, self.queue, self.results.put, lambda: None, turns=turns)
        self.loop.start()
        for slot in range(3):
            self.queue.join(Join(SlotRef(slot, 1), Sampling()))
        until(lambda: sum(map(len, self.runner.joined)) == 3)

    def put(self, slot: int, number: int) -> None:
        self.queue.put(Frame(SlotRef(slot, 1), number, np.zeros(1920, np.int16), 0.0))


def test_frames_that_come_while_the_other_model_runs_are_in_the_next_step() -> None:
    turns = Turns()
    first, second = Model(turns), Model(turns)
    try:
        second.runner.open_gate.clear()
        second.put(0, 0)
        assert second.runner.stepping.wait(30)
        first.put(0, 0)
        until(lambda: turns.line == 2)
        for slot, number in ((1, 0), (2, 0), (0, 1)):
            first.put(slot, number)
        assert first.results.empty()
        second.runner.open_gate.set()
        answered = first.results.get(timeout=30)
        assert [result.frame.slot.index for result in answered] == [0, 1, 2]
        assert [result.frame.number for result in first.results.get(timeout=30)] == [1]
        assert len(second.results.get(timeout=30)) == 1
    finally:
        second.runner.open_gate.set()
        first.loop.stop()
        second.loop.stop()
