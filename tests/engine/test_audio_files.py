from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio_files import read_frames, write_frames
from engine.errors import AudioFileError


@pytest.mark.parametrize(
    ("rate", "kind"), [(8_000, "wav"), (24_000, "flac"), (44_100, "wav"), (48_000, "ogg")]
)
def test_any_rate_and_format_becomes_frames_at_24_khz(tmp_path: Path, rate: int, kind: str) -> None:
    time_s = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time_s)
    path = tmp_path / f"in.{kind}"
    soundfile.write(path, tone, rate)
    frames = read_frames(path)
    assert (frames.shape, str(frames.dtype)) == ((13, 1920), "int16")
    assert not frames.reshape(-1)[24_100:].any()
    heard = frames.reshape(-1)[2_000:22_000] / 32768
    wanted = 0.5 * np.sin(2 * np.pi * 1000 * (np.arange(2_000, 22_000) / 24_000))
    assert np.abs(heard - wanted).max() < (0.05 if kind == "ogg" else 0.001)


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    soundfile.write(path, np.stack([np.full(1920, 0.5), np.full(1920, 0.1)], axis=1), 24_000)
    assert read_frames(path) == pytest.approx(0.3 * 32768, abs=2)


def test_frames_survive_a_file(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(-32768, 32768, (3, 1920), np.int16)
    write_frames(tmp_path / "out.wav", frames)
    assert np.array_equal(read_frames(tmp_path / "out.wav"), frames)


def test_full_scale_stays_in_range(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    soundfile.write(path, np.sign(np.sin(np.arange(8_000))), 8_000, subtype="FLOAT")
    frames = read_frames(path)
    assert (frames.max(), frames.min()) == (32767, -32768)


def test_what_is_no_recording_is_an_error_that_says_so(tmp_path: Path) -> None:
    text, empty = tmp_path / "a.wav", tmp_path / "b.wav"
    text.write_text("hello")
    soundfile.write(empty, np.zeros(0), 24_000)
    with pytest.raises(AudioFileError, match="give a WAV, FLAC, OGG or MP3 file"):
        read_frames(text)
    with pytest.raises(AudioFileError, match="holds no sound"):
        read_frames(empty)
    soundfile.write(empty, np.zeros(1), 192_000)
    with pytest.raises(AudioFileError, match="holds no sound"):
        read_frames(empty)
    with pytest.raises(AudioFileError, match="cannot read"):
        read_frames(tmp_path)
