"""Sessions that read: each as if it were alone, whatever comes when and whoever reads beside it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.checkpoint import Model, load
from engine.checkpoint.tts_voices import TtsVoice
from engine.errors import CheckpointError, SessionError
from engine.step.build import make_tts_runner
from engine.step.capacity import Variant
from engine.step.tts_runner import SpokenWord, TtsRunner
from engine.step.tts_step import TtsStep

CPU = torch.device("cpu")
TEXTS = ("some words that are read", "others, and a few more of them", "short")


@pytest.fixture(scope="module")
def model() -> Model:
    return load("random:tiny-tts", CPU)


@pytest.fixture(scope="module")
def voices() -> list[TtsVoice | None]:
    generator = torch.Generator().manual_seed(0)
    return [None, *(TtsVoice(str(n), torch.randn(n, 16, generator=generator)) for n in (40, 125))]


class Heard:
    """What one session was given."""

    def __init__(self) -> None:
        self.sound: list[NDArray[np.int16]] = []
        self.words: list[SpokenWord] = []

    def all(self) -> tuple[list[SpokenWord], bytes]:
        """What two can be compared by."""
        return self.words, np.concatenate(self.sound).tobytes()


def step(runner: TtsRunner, slots: list[int], heard: dict[int, Heard]) -> None:
    for slot, frame in zip(slots, runner.step(slots), strict=True):
        heard[slot].words += frame.words
        if len(frame.pcm):
            heard[slot].sound.append(frame.pcm)
        assert not (frame.done and runner.ready(slot))


def alone(model: Model, text: str, voice: TtsVoice | None, seed: int, cfg: float | None = None) -> Heard:
    runner, heard = make_tts_runner(model, 1, [voice] if voice else []), {0: Heard()}
    runner.open(0, voice, replace(model.sampling, seed=seed), cfg)
    runner.say(0, text)
    runner.end(0)
    while runner.ready(0):
        step(runner, [0], heard)
    return heard[0]


def test_readers_beside_each_other_are_alone_to_the_last_bit(
    model: Model, voices: list[TtsVoice | None]
) -> None:
    expected = [alone(model, text, voice, seed=3).all() for text, voice in zip(TEXTS, voices, strict=True)]
    runner = make_tts_runner(model, 5, [voice for voice in voices if voice])
    generator = torch.Generator().manual_seed(1)
    slots = [4, 1, 2]
    heard = {slot: Heard() for slot in slots}
    rest = dict(zip(slots, TEXTS, strict=True))
    for slot, voice in zip(slots, voices, strict=True):
        # Who was there before leaves nothing behind.
        runner.open(slot, voices[2], replace(model.sampling, seed=9))
        runner.say(slot, "who is sent away ")
        runner.step([slot])
        runner.open(slot, voice, replace(model.sampling, seed=3))
    while True:
        for slot in [slot for slot in slots if rest[slot]]:
            size = int(torch.randint(0, 12, (), generator=generator))
            runner.say(slot, rest[slot][:size])
            rest[slot] = rest[slot][size:]
            if not rest[slot]:
                runner.end(slot)
        due = [slot for slot in slots if runner.ready(slot) and torch.rand((), generator=generator) > 0.3]
        if due:
            step(runner, due, heard)
        elif not any(rest.values()) and not any(map(runner.ready, slots)):
            break
    assert [heard[slot].all() for slot in slots] == expected


def test_seeds_voices_and_guidance_make_a_difference_and_nothing_else_does(
    model: Model, voices: list[TtsVoice | None]
) -> None:
    def read(voice: TtsVoice | None, seed: int, cfg: float | None = None) -> object:
        return alone(model, TEXTS[2], voice, seed, cfg).all()

    usual = read(voices[1], seed=0)
    assert read(voices[1], seed=0, cfg=2.0) == usual
    others = [read(voices[1], seed=1), read(voices[2], seed=0), read(voices[1], seed=0, cfg=3.5)]
    assert usual not in others


def test_all_words_are_told_in_order_within_the_sound(model: Model) -> None:
    heard = alone(model, "one two three four", None, seed=0)
    assert [word.text for word in heard.words] == ["one", "two", "three", "four"]
    starts = [word.start_s for word in heard.words]
    assert starts == sorted(starts)
    assert starts[0] >= 0
    assert starts[-1] < len(heard.sound) * 0.08
    loudness = [int(np.abs(frame.astype(np.int32)).max()) for frame in heard.sound]
    assert min(loudness) > 0
    assert {len(frame) for frame in heard.sound} == {1920}


def test_a_reader_waits_for_words_that_it_has_to_see_and_then_for_the_end(model: Model) -> None:
    runner = make_tts_runner(model, 1)
    runner.open(0, None, model.sampling)
    heard = {0: Heard()}
    while runner.ready(0):
        step(runner, [0], heard)
    assert heard[0].words == []
    for text in ("one ", "two ", "thr"):
        runner.say(0, text)
        assert not runner.ready(0)
    runner.say(0, "ee ")
    while runner.ready(0):
        step(runner, [0], heard)
    assert [word.text for word in heard[0].words] == ["one"]
    with pytest.raises(AssertionError):
        runner.step([0])
    runner.end(0)
    runner.end(0)
    while runner.ready(0):
        step(runner, [0], heard)
    assert [word.text for word in heard[0].words] == ["one", "two", "three"]
    with pytest.raises(AssertionError):
        runner.say(0, "more")


def test_no_text_is_a_moment_of_sound(model: Model) -> None:
    assert len(alone(model, "", None, seed=0).sound) == 2


def test_guidance_that_the_model_was_not_trained_with_is_refused(model: Model) -> None:
    runner = make_tts_runner(model, 1)
    assert runner.cfg_values == (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
    with pytest.raises(SessionError, match=r"'cfg' is 2\.2; this model takes 1\.0, 1\.5"):
        runner.open(0, None, model.sampling, 2.2)


@pytest.mark.parametrize("name", ["random:tiny", "random:tiny-stt"])
def test_other_models_do_not_read(name: str) -> None:
    other = load(name, CPU)
    with pytest.raises(CheckpointError, match=r"does not read aloud; take one such\s+as kyutai/tts"):
        make_tts_runner(other, 1)
    with pytest.raises(CheckpointError, match=r"kyutai/tts-1\.6b-en_fr"):
        TtsStep(other.mimi, other.lm, 1, delay=0)


def test_fewer_codebooks_can_be_said() -> None:
    few = load("random:tiny-tts", CPU, codebooks=3)
    assert few.lm.config.own_codebooks == 3
    assert len(alone(few, "a word", None, seed=0).sound) > 2
    with pytest.raises(CheckpointError, match="cannot run 9 of 8"):
        load("random:tiny-tts", CPU, codebooks=9)


def test_what_a_session_keeps_is_counted(model: Model) -> None:
    sizes = Variant("random:tiny-tts", torch.float32).sizes()
    made = TtsStep(model.mimi, model.lm, 3, delay=4)
    assert 3 * sizes.slot == sum(tensor.nbytes for tensor in made.state.tensors())


def test_a_full_context_is_pretended_for_measuring(model: Model) -> None:
    runner = make_tts_runner(model, 2)
    for slot in range(2):
        runner.open(slot, None, model.sampling)
        runner.say(slot, "and so on " * 5)
    runner.fill_context(model.lm.config.transformer.context)
    for _ in range(6):
        runner.step([0, 1])
    assert runner._step._steps == [10, 10]
