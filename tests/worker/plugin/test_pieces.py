"""Whatever a framework pushes, the engine gets frames of 80 ms at 24 kHz."""

import numpy as np
import pytest
from livekit import rtc

from engine.protocol import FRAME_BYTES
from engine.step.frames import FRAME_SAMPLES
from worker.plugin.pieces import Pieces


def pushed(samples: int, rate: int = 24_000, channels: int = 1, level: int = 1000) -> rtc.AudioFrame:
    return rtc.AudioFrame(np.full(samples * channels, level, "<i2").tobytes(), rate, channels, samples)


@pytest.mark.parametrize("piece_ms", [10, 20, 50, 80, 100, 500])
def test_no_sample_is_lost_or_added_at_any_length_of_the_pieces(piece_ms: int) -> None:
    pieces, sound = Pieces(), (np.arange(48_000) % 30_000).astype("<i2")
    step = 24 * piece_ms
    frames = [
        frame
        for at in range(0, len(sound), step)
        for frame in pieces.push(rtc.AudioFrame(sound[at : at + step].tobytes(), 24_000, 1, step))
    ]
    assert {len(frame) for frame in frames} == {FRAME_BYTES}
    whole = len(sound) // FRAME_SAMPLES * FRAME_SAMPLES
    assert b"".join(frames) == sound[:whole].tobytes()


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_another_rate_is_resampled(rate: int) -> None:
    pieces = Pieces()
    frames = [frame for _ in range(100) for frame in pieces.push(pushed(rate // 100, rate))]
    assert 11 <= len(frames) <= 12, "a second is twelve and a half of them, less what the filter holds back"
    loud = np.frombuffer(frames[-1], "<i2")
    assert abs(float(loud.mean()) - 1000) < 20


def test_several_channels_become_their_mean() -> None:
    sound = np.stack([np.full(FRAME_SAMPLES, 1000), np.full(FRAME_SAMPLES, 3000)], axis=1).astype("<i2")
    (frame,) = Pieces().push(rtc.AudioFrame(sound.tobytes(), 24_000, 2, FRAME_SAMPLES))
    assert set(np.frombuffer(frame, "<i2")) == {2000}


def test_a_rate_that_changes_within_a_call_is_followed() -> None:
    pieces = Pieces()
    pieces.push(pushed(480, 48_000))
    frames = [frame for _ in range(8) for frame in pieces.push(pushed(FRAME_SAMPLES))]
    assert len(frames) in (8, 9)
    assert set(np.frombuffer(frames[-1], "<i2")) == {1000}
