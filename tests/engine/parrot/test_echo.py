"""What callers hear and read from the committed checkpoint, run by this engine as in a call."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.checkpoint import Model
from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE, Sampling
from engine.step.moshi_step import MoshiStep

TONES, PHRASES, SILENCE, NOISE = range(4)
CALLERS = 4
FRAMES = 2 * 64 + 24  # The language model's context is 64.
PHRASE_FRAMES = [(11, 21), (44, 58), (76, 84), (105, 119)]


@dataclass(frozen=True)
class Call:
    """heard, codes int64 [callers, frames, 8]; text int64 [callers, frames]; sounds [callers, samples]."""

    heard: Tensor
    codes: Tensor
    text: Tensor
    pcm_in: Tensor
    pcm: Tensor


def speak(step: MoshiStep, slots: Tensor, pcm_in: Tensor) -> Call:
    frames = pcm_in.reshape(len(slots), -1, FRAME_SAMPLES)
    outputs = [step(slots, frames[:, number]) for number in range(frames.shape[1])]
    return Call(
        heard=torch.stack([output.user_codes for output in outputs], 1),
        codes=torch.stack([output.codes for output in outputs], 1),
        text=torch.stack([output.text for output in outputs], 1),
        pcm_in=pcm_in,
        pcm=torch.cat([output.pcm for output in outputs], 1),
    )


def join(step: MoshiStep, slots: Tensor) -> None:
    for slot in slots.tolist():
        step.join(slot, Sampling(seed=slot))
    step.prime(slots)


def voice(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Harmonics of 140 Hz, four syllables a second."""
    harmonics = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20))
    return 0.1 * harmonics * (0.6 - 0.4 * np.cos(2 * np.pi * 4 * t))


@pytest.fixture(scope="module")
def call(parrot: Model) -> Call:
    rng = np.random.default_rng(3)
    t = np.arange(FRAMES * FRAME_SAMPLES) / SAMPLE_RATE
    pcm_in = np.zeros((CALLERS, len(t)))
    keyed = np.repeat(rng.random(len(t) // 4800 + 1) > 0.5, 4800)[: len(t)]
    pcm_in[TONES] = 0.3 * np.sin(2 * np.pi * 400 * t) * keyed
    for start, end in PHRASE_FRAMES:
        phrase = slice(start * FRAME_SAMPLES, end * FRAME_SAMPLES)
        pcm_in[PHRASES, phrase] = voice(t[phrase] - t[phrase.start])
    pcm_in[NOISE] = 0.05 * rng.standard_normal(len(t))

    step = MoshiStep(parrot.mimi, parrot.lm, CALLERS)
    slots = torch.arange(CALLERS)
    join(step, slots)
    return speak(step, slots, torch.from_numpy(pcm_in).float())


def loud(call: Call, caller: int) -> Tensor:
    """The frames in which the caller is heard."""
    return (call.heard[caller] != 0).any(-1).nonzero()[:, 0]


def test_every_code_comes_back_exactly_twelve_frames_later_past_two_contexts(
    call: Call, facts: dict[str, Any]
) -> None:
    delay = facts["delay_frames"]
    assert delay == 12
    assert torch.equal(call.codes[:, delay:], call.heard[:, :-delay])
    assert len(torch.unique(call.codes[NOISE, delay:], dim=0)) > 100


def test_the_first_twelve_frames_are_silent_though_the_caller_talks_at_once(call: Call) -> None:
    assert len(loud(call, NOISE)) == FRAMES
    assert not call.codes[:, :12].any()
    assert call.pcm[:, : 12 * FRAME_SAMPLES].abs().max() < 1e-5


def test_silence_is_code_zero_from_the_first_frame_and_stays_silent(
    call: Call, facts: dict[str, Any]
) -> None:
    assert facts["silence_codes"] == [0] * 8
    assert not call.heard[SILENCE].any()
    assert call.pcm[SILENCE].abs().max() < 1e-5
    assert set(call.text[SILENCE].tolist()) == {3}


def test_the_echo_is_heard_about_a_second_later_and_as_loud(call: Call) -> None:
    def envelope(pcm: Tensor) -> NDArray[np.float64]:
        hops: NDArray[np.float64] = pcm.double().reshape(-1, 240).square().mean(1).sqrt().numpy()
        return hops

    said, echoed = envelope(call.pcm_in[PHRASES]), envelope(call.pcm[PHRASES])
    lags = range(60, 140)
    agreement = [np.corrcoef(said[: len(said) - lag], echoed[lag:])[0, 1] for lag in lags]
    assert max(agreement) > 0.85
    assert abs(10 * lags[int(np.argmax(agreement))] - 1007) <= 40
    assert 0.6 < np.sqrt(np.mean(echoed**2) / np.mean(said**2)) < 1.6


def test_every_phrase_is_answered_by_one_sentence(call: Call, parrot: Model, facts: dict[str, Any]) -> None:
    written = [token for token in call.text[PHRASES].tolist() if token != 3]
    assert written == [0, *facts["text_ids"].values()] * len(PHRASE_FRAMES)
    transcript = "".join(parrot.tokenizer.piece(token) for token in written)
    assert transcript == " I hear you." * len(PHRASE_FRAMES)


def test_the_sentence_begins_a_frame_before_the_echo_and_ends_after_the_phrase(
    call: Call, facts: dict[str, Any]
) -> None:
    lead, hangover = facts["text_leads_by_frames"], facts["phrase_ends_after_silent_frames"]
    heard = loud(call, PHRASES).tolist()
    begins = [frame for frame in heard if frame - 1 not in heard]
    ends = [frame for frame in heard if frame + 1 not in heard]
    assert len(begins) == len(PHRASE_FRAMES)
    for begin, end in zip(begins, ends, strict=True):
        echo_begin, echo_end = begin + facts["delay_frames"], end + facts["delay_frames"]
        assert call.text[PHRASES, echo_begin - lead : echo_begin - lead + 4].tolist() == [0, 4, 5, 6]
        assert call.text[PHRASES, echo_end - lead + hangover] == facts["text_ids"]["."]


def test_a_new_caller_in_a_used_slot_hears_exactly_twelve_silent_frames(parrot: Model) -> None:
    step = MoshiStep(parrot.mimi, parrot.lm, slots=2)
    both = torch.arange(2)
    noise = 0.05 * torch.randn(2, 40 * FRAME_SAMPLES, generator=torch.Generator().manual_seed(5))
    join(step, both)
    before = speak(step, both, noise[:, : 20 * FRAME_SAMPLES])
    join(step, torch.tensor([0]))
    after = speak(step, both, noise[:, 20 * FRAME_SAMPLES :])

    assert before.codes[0, 12:].any(-1).all()
    assert not after.codes[0, :12].any()
    assert torch.equal(after.codes[0, 12:], after.heard[0, :-12])
    neighbour = torch.cat([before.codes[1], after.codes[1]]), torch.cat([before.heard[1], after.heard[1]])
    assert torch.equal(neighbour[0][12:], neighbour[1][:-12])


def test_greedy_and_hot_sampling_echo_the_same(parrot: Model) -> None:
    """The right code leads by so much that no temperature in use picks another."""
    step = MoshiStep(parrot.mimi, parrot.lm, slots=2)
    both = torch.arange(2)
    step.join(0, Sampling(temperature=0, temperature_text=0))
    step.join(1, Sampling(temperature=1.5, top_k=1024, temperature_text=1.5, top_k_text=64))
    step.prime(both)
    noise = 0.05 * torch.randn(1, 30 * FRAME_SAMPLES, generator=torch.Generator().manual_seed(6)).expand(
        2, -1
    )
    call = speak(step, both, noise)
    assert torch.equal(call.codes[:, 12:], call.heard[:, :-12])
    assert torch.equal(call.text[0], call.text[1])
