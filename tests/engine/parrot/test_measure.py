"""The measurements tell a codec that keeps everything from one that does not."""

import numpy as np
import pytest

from engine.parrot import measure
from engine.parrot.corpus import Samples
from engine.parrot.measure import CODEC_DELAY, FRAME


def perfect(sound: Samples) -> Samples:
    """Everything, as late as the codec."""
    return np.pad(sound, (CODEC_DELAY, 0))[: len(sound)]


def tape_too_fast(sound: Samples) -> Samples:
    """Everything, a tenth too high."""
    faster: Samples = np.interp(np.arange(0, len(sound), 1.1), np.arange(len(sound)), sound).astype(
        np.float32
    )
    return faster


def babble(text: str, voice: str = "", pitch: int = 50, speed: int = 150, word_gap: int = 0) -> Samples:
    """A third of a second in place of espeak-ng: harmonics of a pitch, as strong as the text says."""
    rng = np.random.default_rng(list(text.encode()))
    t = np.arange(8000) / 24_000
    harmonics = np.arange(1, 30)
    strengths = rng.random((2, 29)) ** 4
    fading = np.linspace(strengths[0], strengths[1], len(t))
    tones = np.sin(2 * np.pi * (120 + pitch) * harmonics * t[:, None] + harmonics**2)
    sound: Samples = (0.05 * (fading * tones).sum(1)).astype(np.float32)
    return sound


def test_a_perfect_codec_keeps_every_tone() -> None:
    report = measure.tones(perfect)
    assert (report.kept, report.of) == (45, 45)
    assert np.allclose(report.level_db, 0, atol=0.1)
    assert min(report.purity) > 0.99


def test_a_codec_that_moves_the_pitch_keeps_none() -> None:
    assert measure.tones(tape_too_fast).kept == 0


def test_noise_is_measured_by_the_level_that_comes_out() -> None:
    halved = measure.noise(lambda sound: sound * np.float32(0.5))
    assert all(abs(out - (dbfs - 6.02)) < 0.2 for dbfs, out in halved.items())


def test_a_perfect_codec_keeps_speech_and_another_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "speak", babble)
    kept, lost = measure.speech(perfect, utterances=3), measure.speech(tape_too_fast, utterances=3)
    assert kept.mel_correlation > 0.99 > 0.9 > lost.mel_correlation
    assert abs(kept.level_db) < 0.5
    assert kept.pitch_error < 0.01 < 0.05 < lost.pitch_error
    assert kept.voiced_kept == 1


def test_digits_are_recognized_by_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "speak", babble)
    assert measure.digits(perfect) == 1
    hiss = np.random.default_rng(1).standard_normal(40 * FRAME).astype(np.float32)
    assert measure.digits(lambda sound: hiss[: len(sound)]) < 0.5
