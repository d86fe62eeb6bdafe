"""Voices from telephones: recordings that went through G.711."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.protocol import FRAME_BYTES
from load_tests.phone import Law, Line
from worker.caller import sound_files
from worker.phones.handset import Handset
from worker.phones.leveller import CEILING, Leveller

RATE = 24_000
FRAME = FRAME_BYTES // 2
SPOKEN = Path(__file__).parents[3] / "deploy" / "sample.wav"


def levels(pcm: NDArray[np.int16]) -> NDArray[np.float64]:
    """In dB below full scale, of every 80 ms."""
    frames = pcm[: len(pcm) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    power = np.square(frames).mean(axis=1) / 32768**2
    return np.asarray(10 * np.log10(power + 1e-12), np.float64)


def on_the_phone(speech_db: float, noise_db: float, law: Law = "mulaw") -> NDArray[np.int16]:
    """Fifteen seconds of somebody whose speech has this level, with noise of another."""
    voice = np.tile(sound_files.read(SPOKEN, RATE), 3).astype(np.float64)
    loud = levels(voice.astype(np.int16))
    speech = loud[loud > loud.max() - 20]
    voice *= 10 ** ((speech_db - 10 * np.log10(np.mean(10 ** (speech / 10)))) / 20)
    voice += np.random.default_rng(1).normal(0, 32768 * 10 ** (noise_db / 20), len(voice))
    return Line(law, loss_percent=1).carried(np.clip(voice, -32768, 32767).astype(np.int16), RATE)


def levelled(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    leveller = Leveller()
    frames = (pcm[at : at + FRAME].tobytes() for at in range(0, len(pcm) - FRAME + 1, FRAME))
    return np.concatenate([np.frombuffer(leveller.levelled(frame), "<i2") for frame in frames])


def speech_db(pcm: NDArray[np.int16], of: NDArray[np.int16]) -> float:
    """The level of the last third of `pcm` where there is speech in `of`."""
    spoken = levels(of)[: len(levels(pcm))]
    mask = spoken > spoken.max() - 20
    mask[: len(mask) * 2 // 3] = False
    return float(10 * np.log10(np.mean(10 ** (levels(pcm)[mask] / 10))))


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
@pytest.mark.parametrize(("before", "least", "most"), [(-40, -28, -20), (-30, -28, -20), (-12, -19, -14)])
def test_a_voice_comes_near_the_level_that_the_model_knows(
    law: Law, before: float, least: float, most: float
) -> None:
    heard = on_the_phone(before, -65, law)
    assert speech_db(heard, heard) == pytest.approx(before, abs=1.5)
    assert least < speech_db(levelled(heard), heard) < most


def test_a_voice_as_it_should_be_is_left_alone() -> None:
    heard = on_the_phone(-22, -65)
    after = levelled(heard)
    assert speech_db(after, heard) == pytest.approx(speech_db(heard, heard), abs=1)


def test_noise_without_a_voice_is_not_turned_up() -> None:
    noise = np.random.default_rng(2).normal(0, 32768 * 10 ** (-50 / 20), 20 * RATE).astype(np.int16)
    after = levelled(Line().carried(noise, RATE))
    assert float(levels(after)[-50:].mean()) < -48


def test_the_gain_stands_still_in_pauses_and_never_leaps() -> None:
    leveller = Leveller()
    heard = on_the_phone(-40, -65)
    gains = []
    for at in range(0, len(heard) - FRAME + 1, FRAME):
        leveller.levelled(heard[at : at + FRAME].tobytes())
        gains.append(leveller.gain_db)
    assert np.abs(np.diff(gains)).max() <= 1.6
    before = leveller.gain_db
    for _ in range(100):
        leveller.levelled(bytes(FRAME_BYTES))
    assert leveller.gain_db == before


def test_no_peak_passes_the_ceiling_and_none_is_cut_off() -> None:
    times = np.arange(4 * RATE) / RATE
    tone = (32767 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
    after = levelled(tone)
    assert np.abs(after).max() <= CEILING
    spectrum = np.abs(np.fft.rfft(after[-RATE:].astype(np.float64)))
    assert np.sqrt(np.sum(spectrum[441 * 2 :] ** 2)) < 0.01 * spectrum[440], "cut peaks would be overtones"


def test_a_muted_telephone_is_silent_and_keeps_its_gain() -> None:
    handset = Handset()
    frame = np.full(FRAME, 5000, "<i2").tobytes()
    assert handset.heard(frame) != bytes(FRAME_BYTES)
    handset.is_muted = True
    assert handset.heard(frame) == bytes(FRAME_BYTES)
