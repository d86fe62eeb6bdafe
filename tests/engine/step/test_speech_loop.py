"""Who is stepped when, of all who speak a text."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

import numpy as np

from engine.step.frames import Frame, Sampling, SlotRef, StepResult
from engine.step.lead import LEAD_S, Lead, due
from engine.step.loop import StepLoop
from engine.step.ready_queue import Join, ReadyQueue
from engine.step.speech_loop import SpeechLoop, SpokenFrame
from engine.step.speech_queue import Begin, Leave, More, SpeechQueue, Whole
from engine.step.turns import Turns
from tests.engine.fake_clock import FakeClock
from tests.engine.fake_runner import FakeRunner
from tests.engine.fake_speaker import FakeSpeaker

ANN, BOB = SlotRef(0, 1), SlotRef(1, 1)
AHEAD = 63
"""Frames that are made at once: the first by which more than five seconds are."""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@dataclass
class Running:
    """A loop over a fake model, and all that it gave."""

    turns: Turns = field(default_factory=Turns)
    clock: FakeClock = field(default_factory=FakeClock)
    speaker: FakeSpeaker = field(default_factory=FakeSpeaker)
    queue: SpeechQueue = field(default_factory=SpeechQueue)
    given: list[SpokenFrame] = field(default_factory=list)
    failed: Event = field(default_factory=Event)

    def begin(self, slot: SlotRef, text: str) -> None:
        self.queue.put(Begin(slot, None, Sampling(), None))
        self.queue.put(More(slot, text))

    def words(self, slot: SlotRef) -> list[str]:
        return [word.text for spoken in self.given if spoken.slot == slot for word in spoken.frame.words]


@contextmanager
def running(turns: Turns | None = None) -> Iterator[Running]:
    of = Running(turns or Turns())
    loop = SpeechLoop(of.speaker, of.queue, of.given.extend, of.failed.set, of.clock, of.turns)
    loop.start()
    try:
        yield of
    finally:
        of.speaker.open_gate.set()
        loop.stop(30)
    assert loop.working_on is None or of.failed.is_set()


def test_whoever_has_text_is_spoken_to_its_end_and_nobody_waits_for_another() -> None:
    with running() as loop:
        loop.begin(ANN, "good mor")
        until(lambda: loop.words(ANN) == ["good"])
        loop.begin(BOB, "hello there ")
        until(lambda: loop.words(BOB) == ["hello", "there"])
        assert loop.words(ANN) == ["good"]
        loop.queue.put(More(ANN, "ning to you"))
        loop.queue.put(Whole(ANN))
        until(lambda: loop.given[-1].frame.done)
        assert loop.words(ANN) == ["good", "morning", "to", "you"]
        assert not loop.failed.is_set()


def test_sound_runs_ahead_by_a_few_seconds_and_then_follows_the_clock() -> None:
    with running() as loop:
        loop.begin(ANN, "a " * 1000)
        until(lambda: len(loop.words(ANN)) == AHEAD)
        # Whoever begins now is served; who is ahead may go along for one step.
        loop.begin(BOB, "b " * 30)
        until(lambda: len(loop.words(BOB)) == 30)
        assert AHEAD <= len(loop.words(ANN)) <= AHEAD + 1
        loop.clock.now = 1.0
        # A second has 12.5 frames.
        until(lambda: len(loop.words(ANN)) >= AHEAD + 12)
        loop.begin(BOB, "c " * 10)
        until(lambda: len(loop.words(BOB)) == 40)
        assert len(loop.words(ANN)) <= AHEAD + 14


def test_who_ran_out_of_text_may_be_as_far_ahead_again_but_no_further() -> None:
    lead = Lead()
    for _ in range(AHEAD):
        assert lead.wait_s(now=100.0) == 0
        lead.made(now=100.0)
    assert 0 < lead.wait_s(now=100.0) <= 0.08
    # What was made has been heard long ago.
    for _ in range(AHEAD):
        assert lead.wait_s(now=1000.0) == 0
        lead.made(now=1000.0)
    assert lead.wait_s(now=1000.0) > 0
    assert lead.wait_s(now=1000.0 + LEAD_S) == 0


def test_once_somebody_is_due_all_go_along_who_will_be_before_the_next_frame() -> None:
    carol = SlotRef(2, 1)
    assert due({ANN: 0.01, BOB: 0.05}) == []
    assert due({ANN: 0.0, BOB: 0.05, carol: 0.09}) == [ANN, BOB]
    assert due({}) == []


def test_what_waits_of_who_leaves_is_not_done_any_more() -> None:
    queue = SpeechQueue()
    for order in (Begin(ANN, None, Sampling(), None), More(ANN, "one"), More(BOB, "two"), Leave(ANN)):
        queue.put(order)
    assert queue.take(None) == [More(BOB, "two"), Leave(ANN)]
    assert queue.take(0.0) == []


def test_who_has_left_is_forgotten_with_all_that_waits_of_them() -> None:
    with running() as loop:
        loop.speaker.open_gate.clear()
        loop.begin(ANN, "one two three ")
        assert loop.speaker.stepping.wait(30)
        loop.queue.put(More(ANN, "four "))
        loop.queue.put(Leave(ANN))
        loop.speaker.open_gate.set()
        loop.begin(again := SlotRef(ANN.index, 3), "five ")
        until(lambda: loop.words(again) == ["five"])
        assert loop.words(ANN) == []


def test_a_step_that_fails_is_told_once() -> None:
    with running() as loop:
        loop.speaker.broken = "no more"
        loop.begin(ANN, "one ")
        assert loop.failed.wait(30)


def test_a_conversation_waits_for_one_step_of_speech_and_not_for_a_text() -> None:
    turns, answered = Turns(), list[int]()
    with running(turns) as loop:

        def answer(results: list[StepResult]) -> None:
            # Within its turn, so that nothing is spoken meanwhile.
            answered.extend([len(loop.speaker.batches)] * len(results))

        runner, queue = FakeRunner(), ReadyQueue()
        talk = StepLoop(runner, queue, answer, lambda: None, turns=turns)
        talk.start()
        try:
            queue.join(Join(ANN, Sampling()))
            until(lambda: bool(runner.joined))
            loop.speaker.open_gate.clear()
            loop.begin(ANN, "a " * 50)
            assert loop.speaker.stepping.wait(30)
            queue.put(Frame(ANN, 0, np.zeros(1920, np.int16), 0.0))
            until(lambda: turns.line == 2)
            loop.speaker.open_gate.set()
            until(lambda: bool(answered))
            # After the step that had begun, and none of the 49 others.
            assert answered == [1]
        finally:
            talk.stop()
