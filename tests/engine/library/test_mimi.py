import numpy as np
import pytest

from engine import Mimi

TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(30_000) / 24_000)).astype(np.float32)
FRAMES = 16  # 15.6, filled up


@pytest.fixture(scope="module")
def mimi() -> Mimi:
    return Mimi.load("parrot", device="cpu")


def test_sound_comes_back_from_its_codes(mimi: Mimi) -> None:
    codes = mimi.encode(TONE)
    assert (codes.shape, str(codes.dtype)) == ((8, FRAMES), "int64")
    sound = mimi.decode(codes)
    assert (sound.shape, str(sound.dtype)) == ((FRAMES * 1920,), "int16")
    spectrum = np.abs(np.fft.rfft(sound))
    assert np.fft.rfftfreq(len(sound), 1 / 24_000)[spectrum.argmax()] == pytest.approx(440, abs=15)


def test_float_int16_and_frames_are_the_same_sound(mimi: Mimi) -> None:
    pcm = (TONE * 32768).round().astype(np.int16)
    frames = np.pad(pcm, (0, FRAMES * 1920 - len(pcm))).reshape(FRAMES, 1920)
    codes = mimi.encode(pcm)
    assert np.array_equal(codes, mimi.encode(TONE))
    assert np.array_equal(codes, mimi.encode(TONE.astype(np.float64)))
    assert np.array_equal(codes, mimi.encode(frames))


def test_a_stream_gives_what_the_whole_gives(mimi: Mimi) -> None:
    codes = mimi.encode(TONE, codebooks=5)
    stream = mimi.stream(codebooks=5)
    frames = np.pad(TONE, (0, FRAMES * 1920 - len(TONE))).reshape(FRAMES, 1920)
    streamed = [stream.encode(frame) for frame in frames]
    assert np.array_equal(np.stack(streamed, axis=1), codes)
    assert np.array_equal(np.concatenate([stream.decode(row) for row in streamed]), mimi.decode(codes))


@pytest.mark.parametrize(
    ("sound", "says"),
    [
        (np.zeros((2, 24_000), np.float32), r"\(2, 24000\): give mono samples"),
        (np.zeros(0, np.int16), "there is no sound"),
        (np.zeros(1920, np.int32), "type int32: give int16, or floats"),
        (np.full(1920, np.nan), "no numbers"),
    ],
)
def test_sound_of_another_form_says_what_is_taken(mimi: Mimi, sound: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        mimi.encode(sound)


def test_what_is_louder_than_full_scale_is_clipped(mimi: Mimi) -> None:
    assert np.array_equal(mimi.encode(np.full(1920, 1.5)), mimi.encode(np.full(1920, 32767, np.int16)))


def test_a_stream_takes_whole_frames_alone(mimi: Mimi) -> None:
    with pytest.raises(ValueError, match="a frame is 1920 samples"):
        mimi.stream().encode(TONE[:1000])


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        (np.full((8, 3), 5000), "0 to 1023"),
        (np.full((8, 3), -1), "0 to 1023"),
        (np.full((8, 3), 1, np.int32), "int64"),
        (np.full((9, 3), 1), "codebooks=9: this codec has 8"),
        (np.full((8, 0), 1), r"shape \(8, 0\)"),
        (np.full(8, 1), r"shape \(8,\)"),
    ],
)
def test_codes_that_the_codec_cannot_decode_are_refused(mimi: Mimi, codes: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        mimi.decode(codes)


def test_a_frame_of_codes_is_checked_too(mimi: Mimi) -> None:
    with pytest.raises(ValueError, match="0 to 1023"):
        mimi.stream().decode(np.full(8, 5000))
    with pytest.raises(ValueError, match="those of one frame"):
        mimi.stream().decode(np.full((8, 1), 1))


@pytest.mark.parametrize("codebooks", [0, 9])
def test_codebooks_that_there_are_not(mimi: Mimi, codebooks: int) -> None:
    with pytest.raises(ValueError, match=f"codebooks={codebooks}: this codec has 8; give 1 to 8"):
        mimi.encode(TONE, codebooks)
