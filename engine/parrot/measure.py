"""Measures how much of tones, words and silence the codec keeps: `python -m engine.parrot.measure`.

Prints one JSON object. Needs the espeak-ng program and about a minute. The sentences are spoken by voices
that the codebooks have not heard.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from engine.checkpoint import load_mimi
from engine.errors import UserError
from engine.parrot.corpus import DIGITS, SAMPLE_RATE, WORDS, Samples, speak
from engine.parrot.hearing import (
    Floats,
    cepstrum_of,
    decibels,
    envelope_of,
    log_mel_spectrum,
    pitch_of,
    rms,
    warped_distance,
)

RoundTrip = Callable[[Samples], Samples]
"""A mono sound at 24 kHz, whole frames long, to what the codec makes of it, as long."""

FRAME = 1920
CODEC_DELAY = 1128
"""Samples by which a word comes out later than it went in: 47 ms."""
TONES_HZ = (150, 220, 300, 440, 523, 660, 697, 770, 880, 1000, 1209, 1477, 2000, 3000, 4000)
AMPLITUDES = (0.05, 0.2, 0.5)
UNHEARD = ("+f5", "+m7", "+Alex", "+belinda")


@dataclass(frozen=True, slots=True)
class ToneReport:
    """Steady tones: how many keep their pitch within 3 %.

    level_db: gain, least, mean and most. purity: share of the energy within 6 % of the pitch, least and mean.
    """

    kept: int
    of: int
    level_db: tuple[float, float, float]
    purity: tuple[float, float]


@dataclass(frozen=True, slots=True)
class SpeechReport:
    """Means over held-out utterances. mel_distance in nepers; pitch over frames voiced before and after."""

    utterances: int
    mel_correlation: float
    mel_distance: float
    envelope_correlation: float
    level_db: float
    pitch_error: float
    pitch_within_20_percent: float
    voiced_kept: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything. digits_recognized: share of spoken digits that are nearest to themselves, by DTW."""

    tones: ToneReport
    speech: SpeechReport
    digits_recognized: float
    silence_peak: float
    noise_out_dbfs: dict[int, float]


def measure(round_trip: RoundTrip) -> Report:
    """All measurements of one codec."""
    return Report(
        tones=tones(round_trip),
        speech=speech(round_trip),
        digits_recognized=digits(round_trip),
        silence_peak=float(np.abs(round_trip(np.zeros(20 * FRAME, np.float32))).max()),
        noise_out_dbfs=noise(round_trip),
    )


def tones(round_trip: RoundTrip) -> ToneReport:
    """Every tone of `TONES_HZ` at every amplitude."""
    t = np.arange(20 * FRAME) / SAMPLE_RATE
    kept, levels, purities = 0, [], []
    for amplitude in AMPLITUDES:
        for frequency in TONES_HZ:
            out = round_trip((amplitude * np.sin(2 * np.pi * frequency * t)).astype(np.float32))[4 * FRAME :]
            power = np.abs(np.fft.rfft(out * np.hanning(len(out)))) ** 2
            distance = np.abs(np.fft.rfftfreq(len(out), 1 / SAMPLE_RATE) / frequency - 1)
            kept += bool(distance[power.argmax()] < 0.03)
            purities.append(power[distance < 0.06].sum() / power.sum())
            levels.append(decibels(rms(out) / (amplitude / np.sqrt(2))))
    level_db = min(levels), float(np.mean(levels)), max(levels)
    return ToneReport(kept, len(levels), level_db, (float(min(purities)), float(np.mean(purities))))


def noise(round_trip: RoundTrip) -> dict[int, float]:
    """White noise of some levels in dBFS, to the level that comes out."""
    white = np.random.default_rng(0).standard_normal(40 * FRAME)
    rows = {dbfs: (white * 10 ** (dbfs / 20)).astype(np.float32) for dbfs in (-60, -52, -45, -38)}
    return {dbfs: decibels(rms(round_trip(row))) for dbfs, row in rows.items()}


def speech(round_trip: RoundTrip, utterances: int = 24) -> SpeechReport:
    """Sentences of random words by voices that the codebooks have not heard."""
    rng = np.random.default_rng(2)
    rows = []
    for _ in range(utterances):
        said = _whole_frames(held_out_utterance(rng), tail=2)
        out = round_trip(said)[CODEC_DELAY:]
        said = said[: len(out)]
        mel_said, mel_out = log_mel_spectrum(said), log_mel_spectrum(out)
        rows.append(
            [
                np.corrcoef(mel_said.ravel(), mel_out.ravel())[0, 1],
                np.abs(mel_said - mel_out).mean(),
                np.corrcoef(envelope_of(said), envelope_of(out))[0, 1],
                decibels(rms(out) / rms(said)),
                *_pitch_kept(pitch_of(said), pitch_of(out)),
            ]
        )
    return SpeechReport(utterances, *(float(mean) for mean in np.nanmean(rows, axis=0)))


def held_out_utterance(rng: np.random.Generator) -> Samples:
    """Five to twelve random words by a random one of the `UNHEARD` speakers."""
    voice = rng.choice(["en-us", "en-gb"]) + rng.choice(UNHEARD)
    words = rng.choice(WORDS, rng.integers(5, 13))
    return speak(" ".join(words), voice, int(rng.integers(10, 91)), int(rng.integers(110, 211)))


def digits(round_trip: RoundTrip) -> float:
    """Share of digits that are nearest to their own template: clean, same voice, another pitch and speed."""
    hits = []
    for voice in ("en-us", "en-us+f5", "en-us+m7", "en-gb+f2"):
        templates = [cepstrum_of(_trim(speak(word, voice))) for word in DIGITS]
        for index, word in enumerate(DIGITS):
            said = _trim(speak(word, voice, pitch=60, speed=135))
            start = 4 * FRAME
            out = round_trip(_whole_frames(np.pad(said, (start, 0)), tail=4))
            heard = cepstrum_of(out[start + CODEC_DELAY :][: len(said)])
            hits.append(np.argmin([warped_distance(heard, template) for template in templates]) == index)
    return float(np.mean(hits))


def _whole_frames(sound: Samples, tail: int) -> Samples:
    return np.pad(sound, (0, -len(sound) % FRAME + tail * FRAME))


def _trim(sound: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    return sound[loud[0] : loud[-1] + 1]


def _pitch_kept(before: Floats, after: Floats) -> tuple[float, float, float]:
    voiced, both = ~np.isnan(before), ~np.isnan(before) & ~np.isnan(after)
    error = np.abs(after[both] / before[both] - 1)
    return float(np.median(error)), float(np.mean(error < 0.2)), float(both.sum() / voiced.sum())


def streaming_codec(checkpoint: str) -> RoundTrip:
    """The codec of `checkpoint` in this engine, a new stream for every sound, frame by frame as in a call."""
    torch.set_num_threads(1)
    mimi = load_mimi(checkpoint, torch.device("cpu"))
    slots = torch.tensor([0])

    @torch.inference_mode()
    def round_trip(sound: Samples) -> Samples:
        state = mimi.new_state(1)
        state.reset(slots)
        out = []
        for frame in torch.from_numpy(sound).view(-1, 1, FRAME):
            codes = mimi.encode(frame, state, slots, mimi.config.quantizer.n_q)
            out.append(mimi.decode(codes, state, slots)[0])
        heard: Samples = torch.cat(out).numpy()
        return heard

    return round_trip


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        "python -m engine.parrot.measure", description="Measure what the codec keeps."
    )
    parser.add_argument("--checkpoint", default="parrot", help="a folder, or parrot (the default)")
    try:
        report = measure(streaming_codec(parser.parse_args().checkpoint))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    rounded = json.loads(json.dumps(asdict(report)), parse_float=lambda text: float(f"{float(text):.3g}"))
    sys.stdout.write(json.dumps(rounded, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
