"""What the caller hears of two speakers, sample by sample, in time that only the test lets pass."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE
from worker.hybrid.conductor import MOST_BEHIND, PIECE_S, PIECE_SAMPLES, Conductor
from worker.hybrid.floor import DUCKED, FADE_S, HANDOVER_S

MOSHI, ANSWER = 3000, 12000
CLICK = ANSWER / (FADE_S * SAMPLE_RATE) + 1
"""No sample may be further from the one before it, where each speaker alone is constant."""


def constant(level: int, samples: int) -> NDArray[np.int16]:
    return np.full(samples, level, np.int16)


@dataclass
class Call:
    """Moshi speaks where it is told to, a frame every 80 ms, while time passes."""

    conductor: Conductor = field(default_factory=lambda: Conductor(bridge_s=1.0))
    moshi_speaks: bool = False
    pieces: int = 0
    heard: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    answered: int = 0

    @property
    def now(self) -> float:
        return self.pieces * PIECE_S

    def passes(self, seconds: float) -> NDArray[np.int16]:
        """What was heard meanwhile; silence where there was nothing."""
        begin = len(self.heard)
        for _ in range(round(seconds / PIECE_S)):
            if self.pieces * PIECE_SAMPLES % FRAME_SAMPLES == 0:
                self.conductor.moshi(constant(MOSHI, FRAME_SAMPLES), speaks=self.moshi_speaks)
            piece = self.conductor.take(self.now)
            pcm = np.frombuffer(piece.pcm, "<i2") if piece else constant(0, PIECE_SAMPLES)
            self.heard = np.concatenate([self.heard, pcm])
            self.answered += piece.answer_samples if piece else 0
            self.pieces += 1
            if self.conductor.answer_is_over:
                self.conductor.close_answer()
        return self.heard[begin:]

    def answers(self, seconds: float) -> None:
        self.conductor.answer(constant(ANSWER, round(seconds * SAMPLE_RATE)))
        self.conductor.end_answer()


def levels(pcm: NDArray[np.int16]) -> list[int]:
    """Those that lasted, in order."""
    edges = np.flatnonzero(np.diff(pcm)) + 1
    runs = [run for run in np.split(pcm, edges) if len(run) > 100]
    return [int(run[0]) for run in runs]


def largest_step(pcm: NDArray[np.int16], beside: tuple[int, ...] = ()) -> int:
    """Between one sample and the next; but for the steps that the speakers themselves have made."""
    steps = np.abs(np.diff(pcm.astype(np.int64)))
    return int(max(steps[~np.isin(steps, beside)], default=0))


def test_moshi_is_heard_as_it_is_and_its_silence_is_nothing_at_all() -> None:
    call = Call(moshi_speaks=True)
    assert levels(call.passes(0.8)) == [MOSHI]
    call.moshi_speaks = False
    call.passes(0.08)
    assert call.conductor.take(call.now) is None


def test_an_answer_begins_at_once_where_moshi_is_silent() -> None:
    call = Call()
    call.passes(1.0)
    call.answers(0.5)
    assert levels(call.passes(1.0)) == [ANSWER, 0]
    assert call.answered == 0.5 * SAMPLE_RATE


def test_moshi_hands_over_to_the_answer_without_a_click_and_within_a_tenth_of_a_second() -> None:
    call = Call(moshi_speaks=True)
    call.passes(0.8)
    call.answers(1.0)
    handed_over = call.passes(0.5)
    assert handed_over[0] > ANSWER + 0.9 * MOSHI, "the answer does not wait for Moshi"
    assert np.all(handed_over[round(HANDOVER_S * SAMPLE_RATE) :] == ANSWER)
    assert largest_step(handed_over) <= CLICK


def test_who_was_cut_off_is_not_heard_again_before_their_next_sentence() -> None:
    call = Call(moshi_speaks=True)
    call.passes(0.4)
    call.answers(0.4)
    call.passes(0.4)
    assert levels(call.passes(2.0)) == [0], "Moshi goes on talking, and nobody hears the end of it"
    call.moshi_speaks = False
    call.passes(0.16)
    call.moshi_speaks = True
    assert levels(call.passes(0.8))[-1] == MOSHI


def test_moshi_bridges_the_wait_and_falls_silent_softly_when_it_lasts() -> None:
    call = Call(moshi_speaks=True)
    call.conductor.expect_answer(call.now)
    assert levels(call.passes(0.96)) == [MOSHI]
    fades = call.passes(0.4)
    assert levels(fades) == [0] or levels(fades) == [MOSHI, 0]
    assert largest_step(fades) <= CLICK


def test_a_turn_without_an_answer_gives_moshi_the_floor_back() -> None:
    call = Call()
    call.conductor.expect_answer(call.now)
    call.passes(1.52)
    call.conductor.expect_nothing()
    call.moshi_speaks = True
    assert levels(call.passes(0.8))[-1] == MOSHI


def test_an_answer_is_low_while_the_caller_speaks_and_full_again_if_they_cease() -> None:
    call = Call()
    call.answers(2.0)
    call.passes(0.4)
    call.conductor.caller(speaks=True)
    low = call.passes(0.4)
    call.conductor.caller(speaks=False)
    full = call.passes(0.4)
    assert (levels(low), levels(full)) == ([round(ANSWER * DUCKED)], [ANSWER])
    assert largest_step(np.concatenate([low, full])) <= CLICK


def test_an_interruption_stops_the_answer_within_one_fade_and_without_a_click() -> None:
    call = Call()
    call.answers(60.0)
    call.passes(0.4)
    call.conductor.drop_answer()
    after = call.passes(0.4)
    assert not after[round(FADE_S * SAMPLE_RATE) :].any()
    assert largest_step(np.concatenate([[ANSWER], after])) <= CLICK
    call.answers(0.2)
    assert levels(call.passes(0.4)) == [ANSWER, 0], "the next answer is full"


def test_an_answer_that_is_held_goes_on_where_it_was_left() -> None:
    call = Call()
    ramp = np.arange(SAMPLE_RATE, dtype=np.int16) % 20_000
    call.conductor.answer(ramp)
    call.conductor.end_answer()
    call.passes(0.2)
    call.conductor.hold_answer()
    held = call.passes(3.0)
    assert not held[round(FADE_S * SAMPLE_RATE) :].any()
    call.conductor.go_on()
    resumed = call.passes(2.0)
    said = np.flatnonzero(resumed)
    skipped = call.answered - SAMPLE_RATE
    assert skipped == 0, "nothing of it is lost"
    assert said[0] < PIECE_SAMPLES
    assert largest_step(resumed[: round(0.1 * SAMPLE_RATE)]) <= CLICK


def test_moshi_says_nothing_into_an_answer_that_is_held() -> None:
    call = Call()
    call.answers(1.0)
    call.passes(0.2)
    call.conductor.hold_answer()
    call.moshi_speaks = True
    assert not call.passes(1.0)[round(FADE_S * SAMPLE_RATE) :].any()


def test_both_at_once_are_never_louder_than_sound_can_be() -> None:
    conductor = Conductor()
    conductor.moshi(constant(30_000, FRAME_SAMPLES), speaks=True)
    conductor.take(0.0)
    conductor.answer(constant(30_000, PIECE_SAMPLES))
    conductor.end_answer()
    piece = conductor.take(0.02)
    assert piece is not None
    assert np.frombuffer(piece.pcm, "<i2").max() == 32_767


def test_an_answer_that_comes_in_crumbs_is_heard_in_whole_pieces() -> None:
    conductor = Conductor()
    taken = []
    for _ in range(100):
        conductor.answer(constant(ANSWER, 77))
        taken.append(conductor.take(0.0))
    conductor.end_answer()
    taken.append(conductor.take(0.0))
    pieces = [piece for piece in taken if piece]
    assert {piece.answer_samples for piece in pieces[:-1]} == {PIECE_SAMPLES}
    assert sum(piece.answer_samples for piece in pieces) == 7700
    assert conductor.answer_is_over


def test_who_is_not_played_for_a_while_is_not_late_ever_after() -> None:
    call = Call(moshi_speaks=True)
    for _ in range(100):
        call.conductor.moshi(constant(MOSHI, FRAME_SAMPLES), speaks=True)
    call.moshi_speaks = False
    assert levels(call.passes(2.0)) == [MOSHI, 0]
    assert np.count_nonzero(call.heard) == MOST_BEHIND
