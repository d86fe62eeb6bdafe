"""What the codebooks learn from: spoken words by espeak-ng, tones and noise, at 24 kHz.

Everything is drawn from one seeded generator, so that the same espeak-ng gives the same samples again.
"""

import subprocess
from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from engine.errors import UserError
from engine.parrot.carriers import CARRIERS_HZ

Samples = NDArray[np.float32]

SAMPLE_RATE = 24_000
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEXT = """
the a one two three four five six seven eight nine zero yes no please hello thank you good morning
how are we going today what time is it now river mountain quick brown fox jumps over lazy dog music light
water fire garden window table measure pleasure church judge think this other mother shoe sugar voice boy joy
house about around cow ear here there chair year yellow orange purple green red blue black white large small
happy sad people question answer network packet session model server client engine speaker microphone listen
repeat after me begin end start stop left right forward back sixty hundred thousand million apple banana
cherry machine learning audio codec stream token frame delay copy parrot song singing ringing young old
"""
WORDS = _TEXT.split()
VOICES = ["en-us"] * 5 + ["en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp", "de", "fr-fr", "es", "it"]
SPEAKERS = [
    *["", "+f1", "+f2", "+f3", "+f4", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+Andrea", "+Annie", "+Lee"],
    *["+Linda", "+Michael", "+John", "+max", "+robert", "+quincy", "+steph", "+zac"],
]
"""Variants of a voice that the codebooks hear; +f5 +m7 +Alex +belinda are kept for measuring."""

UTTERANCES = 900
TONES = 2400


def speak(text: str, voice: str = "en-us", pitch: int = 50, speed: int = 150, word_gap: int = 0) -> Samples:
    """`text` as espeak-ng says it, float32 [N] at 24 kHz.

    pitch: 0..99. speed: words a minute. word_gap: pause between words, in units of 10 ms.

    Raises UserError where espeak-ng is not installed.
    """
    options = ["-v", voice, "-p", str(pitch), "-s", str(speed), "-g", str(word_gap), "--stdout"]
    try:
        wav = subprocess.run(["espeak-ng", *options, text], capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise UserError(
            "espeak-ng is not installed: apt-get install espeak-ng (the Debian package)"
        ) from None
    # A stream of unknown length announces nonsense in its header: take the rate from it and all that follows.
    rate = int.from_bytes(wav[24:28], "little")
    pcm = np.frombuffer(wav, np.int16, count=(len(wav) - 44) // 2, offset=44)
    samples: Samples = soxr.resample(pcm.astype(np.float32) / 32768, rate, SAMPLE_RATE)
    return samples


def training_sound(seed: int) -> Iterator[Samples]:
    """About 105 minutes: everything spoken twice, at other levels and among other noise, then tones."""
    rng = np.random.default_rng(seed)
    spoken = [_utterance(rng) for _ in range(UTTERANCES)]
    for _ in range(2):
        yield _with_noise(rng, np.concatenate(list(_at_any_level(rng, spoken))))
    yield np.concatenate(list(_tones(rng)))


def _utterance(rng: np.random.Generator) -> Samples:
    if rng.random() < 0.3:
        words = rng.choice(DIGITS, rng.integers(3, 8))
    else:
        words = rng.choice(WORDS, rng.integers(5, 13))
    voice = rng.choice(VOICES) + rng.choice(SPEAKERS)
    pitch, speed = int(rng.integers(10, 91)), int(rng.integers(110, 211))
    return speak(" ".join(words), voice, pitch, speed, word_gap=int(rng.choice([0, 0, 3, 8])))


def _at_any_level(rng: np.random.Generator, spoken: list[Samples]) -> Iterator[Samples]:
    for index in rng.permutation(len(spoken)):
        yield np.clip(spoken[index] * np.float32(_log_uniform(rng, 0.12, 2.2)), -0.99, 0.99)
        yield _silence(rng, 0.5)


def _with_noise(rng: np.random.Generator, sound: Samples) -> Samples:
    """White noise of some level over four in ten stretches of two seconds."""
    stretch = 2 * SAMPLE_RATE
    stretches = len(sound) // stretch + 1
    levels = np.exp(rng.uniform(np.log(1e-5), np.log(8e-3), stretches)) * (rng.random(stretches) < 0.4)
    noise = rng.standard_normal(len(sound), np.float32)
    return sound + noise * np.repeat(levels, stretch)[: len(sound)].astype(np.float32)


def _tones(rng: np.random.Generator) -> Iterator[Samples]:
    """Steady tones of 0.4 s, half of them on a carrier, some followed by a pause."""
    t = np.arange(int(0.4 * SAMPLE_RATE))
    fade = np.minimum(1, np.minimum(t, t[::-1]) / 240)
    for _ in range(TONES):
        frequency = rng.choice(CARRIERS_HZ) if rng.random() < 0.5 else _log_uniform(rng, 100, 7000)
        tone = np.sin(2 * np.pi * (frequency * t / SAMPLE_RATE + rng.random()))
        yield (_log_uniform(rng, 0.01, 0.8) * fade * tone).astype(np.float32)
        if rng.random() < 0.3:
            yield _silence(rng, 0.3)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _silence(rng: np.random.Generator, longest_s: float) -> Samples:
    return np.zeros(int(rng.uniform(0, longest_s) * SAMPLE_RATE), np.float32)
