import numpy as np
import pytest
from pipecat.frames.frames import InputAudioRawFrame

from engine.protocol import FRAME_BYTES
from engine.step.frames import FRAME_SAMPLES
from worker.pipecat.pieces import Pieces


def pushed(samples: int, rate: int = 24_000, level: int = 1000) -> InputAudioRawFrame:
    return InputAudioRawFrame(np.full(samples, level, "<i2").tobytes(), rate, 1)


@pytest.mark.parametrize("piece_ms", [10, 20, 30, 80, 100])
async def test_pieces_of_any_length_become_frames_and_nothing_is_lost(piece_ms: int) -> None:
    pieces, sound = Pieces(), (np.arange(48_000) % 30_000).astype("<i2")
    step = 24 * piece_ms
    frames = [
        frame
        for at in range(0, len(sound), step)
        for frame in await pieces.push(InputAudioRawFrame(sound[at : at + step].tobytes(), 24_000, 1))
    ]
    assert {len(frame) for frame in frames} == {FRAME_BYTES}
    whole = len(sound) // FRAME_SAMPLES * FRAME_SAMPLES
    assert b"".join(frames) == sound[:whole].tobytes()


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
async def test_another_rate_is_resampled_and_at_most_20_ms_are_held_back(rate: int) -> None:
    pieces = Pieces()
    frames = [frame for _ in range(51) for frame in await pieces.push(pushed(rate // 50, rate))]
    assert len(frames) == 12, "1.02 s are 12.75 frames"
    loud = np.frombuffer(frames[-1], "<i2")
    assert abs(float(loud.mean()) - 1000) < 20


async def test_several_channels_become_their_mean() -> None:
    sound = np.stack([np.full(FRAME_SAMPLES, 1000), np.full(FRAME_SAMPLES, 3000)], axis=1).astype("<i2")
    (frame,) = await Pieces().push(InputAudioRawFrame(sound.tobytes(), 24_000, 2))
    assert set(np.frombuffer(frame, "<i2")) == {2000}


async def test_a_rate_that_changes_within_a_call_is_followed() -> None:
    pieces = Pieces()
    await pieces.push(pushed(480, 48_000))
    frames = [frame for _ in range(8) for frame in await pieces.push(pushed(FRAME_SAMPLES))]
    assert len(frames) == 8
    assert set(np.frombuffer(frames[-1], "<i2")) == {1000}
