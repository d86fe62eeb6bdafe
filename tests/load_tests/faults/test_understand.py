"""What callers heard, from tapes whose every moment is known."""

from pathlib import Path

import numpy as np
import pytest

from engine.step.frames import SAMPLE_RATE
from load_tests.callers.recorded import PIECE_S, PIECE_SAMPLES
from load_tests.callers.times import CAPTURE_S, PLAYOUT_S
from load_tests.faults.tape import Tape
from load_tests.faults.understand import hears_now, understand
from tests.load_tests.faults.test_echo_track import Sound, voice

DELAY_S = 1.0
SECONDS = 40.0
BEGAN_AT = 500.0
LATE_S = DELAY_S + CAPTURE_S + PLAYOUT_S
"""What was said leaves a microphone's buffer, and is heard out of a loudspeaker's."""


def write(folder: Path, number: int, said: Sound, heard: Sound) -> None:
    with Tape(folder, number) as tape:
        tape.keep(*([(at, piece) for at, piece in pieces(sound)] for sound in (said, heard)))


def pieces(sound: Sound) -> list[tuple[float, Sound]]:
    whole = sound[: len(sound) // PIECE_SAMPLES * PIECE_SAMPLES].reshape(-1, PIECE_SAMPLES)
    return [(BEGAN_AT + PIECE_S * number, piece) for number, piece in enumerate(whole)]


def echo(said: Sound) -> Sound:
    silence = np.zeros(round(LATE_S * SAMPLE_RATE), np.int16)
    return np.concatenate([silence, said])[: len(said)]


def test_a_gap_is_told_when_it_was_and_nothing_leaks(tmp_path: Path) -> None:
    first, second = voice(1, SECONDS), voice(2, SECONDS)
    heard = echo(first)
    heard[25 * SAMPLE_RATE : 27 * SAMPLE_RATE] = 0
    write(tmp_path, 0, first, heard)
    write(tmp_path, 1, second, echo(second))
    found = understand(tmp_path, 0, [1], DELAY_S, BEGAN_AT + 20, BEGAN_AT + 35)
    ((begin, end),) = found.gaps
    assert begin == pytest.approx(BEGAN_AT + 25, abs=0.2)
    assert end == pytest.approx(BEGAN_AT + 27, abs=0.2)
    assert found.alike is not None
    assert found.alike > 0.9
    assert (found.leaked, found.compared) == (0, 6)
    before = understand(tmp_path, 0, [1], DELAY_S, BEGAN_AT + 18, BEGAN_AT + 24)
    assert before.gaps == ()


def test_somebody_elses_words_are_found_beside_the_callers_own(tmp_path: Path) -> None:
    first, second = voice(1, SECONDS), voice(2, SECONDS)
    write(tmp_path, 0, first, echo(first) + echo(second))
    write(tmp_path, 1, second, echo(second))
    assert understand(tmp_path, 0, [1], DELAY_S, BEGAN_AT + 20, BEGAN_AT + 35).leaked > 0
    assert understand(tmp_path, 1, [0], DELAY_S, BEGAN_AT + 20, BEGAN_AT + 35).leaked == 0


def test_whether_somebody_hears_themselves_now(tmp_path: Path) -> None:
    said = voice(1, SECONDS)
    silenced = echo(said)
    silenced[-2 * SAMPLE_RATE :] = 0
    write(tmp_path, 0, said, echo(said))
    write(tmp_path, 1, said, silenced)
    now = BEGAN_AT + SECONDS
    assert hears_now(tmp_path, 0, DELAY_S, now, within_s=2.5)
    assert not hears_now(tmp_path, 1, DELAY_S, now, within_s=2.5)
    assert not hears_now(tmp_path, 0, DELAY_S, now + 5, within_s=2.5)
    assert not hears_now(tmp_path, 7, DELAY_S, now, within_s=2.5)
