from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import AudioFileError
from worker.caller import sound_files


@pytest.mark.parametrize("name", ["in.wav", "in.flac", "in.ogg"])
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (44_100, 2), (8_000, 1)])
def test_any_recording_becomes_mono_at_the_rate_asked_for(
    tmp_path: Path, name: str, rate: int, channels: int
) -> None:
    tone = 0.25 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(tmp_path / name, np.repeat(tone[:, None], channels, axis=1), rate)
    pcm = sound_files.read(tmp_path / name, 48_000)
    assert pcm.dtype == np.int16
    assert len(pcm) == pytest.approx(48_000, abs=1500)
    middle = pcm[12_000:36_000] / 32768
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.25, rel=0.05)
    assert np.argmax(np.abs(np.fft.rfft(middle))) == pytest.approx(220, abs=1)


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    pcm = np.arange(-1000, 1000, dtype=np.int16)
    sound_files.write(tmp_path / "out.wav", pcm, 24_000)
    written, rate = soundfile.read(tmp_path / "out.wav", dtype="int16")
    assert rate == 24_000
    assert np.array_equal(written, pcm)


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_what_is_no_recording_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "in.wav").write_bytes(content)
    with pytest.raises(AudioFileError, match=r"in\.wav"):
        sound_files.read(tmp_path / "in.wav", 48_000)
