"""What callers' tapes hold is laid where it was said and heard."""

from pathlib import Path

import numpy as np

from engine.step.frames import SAMPLE_RATE
from load_tests.callers.recorded import PIECE_S, PIECE_SAMPLES
from load_tests.callers.times import CAPTURE_S, PLAYOUT_S
from load_tests.faults import tape
from load_tests.faults.tape import Tape

LOUD = np.full(PIECE_SAMPLES, 1000, np.int16)


def loud_s(sound: np.ndarray) -> tuple[float, float]:
    """From when to when there is sound."""
    there = np.flatnonzero(sound)
    return float(there[0] / SAMPLE_RATE), float((there[-1] + 1) / SAMPLE_RATE)


def test_what_was_said_is_where_it_left_the_mouth(tmp_path: Path) -> None:
    with Tape(tmp_path, 0) as written:
        written.keep([(100 + PIECE_S * piece, LOUD) for piece in range(50)], [])
    begin, end = loud_s(tape.said(tape.said_in(tmp_path, 0), 99, 103))
    assert abs(begin - (1 - CAPTURE_S)) < 1e-3
    assert abs(end - (2 - CAPTURE_S)) < 1e-3


def test_a_clump_is_heard_as_it_was_sent_and_a_pause_stays_one(tmp_path: Path) -> None:
    # The second half second comes 50 ms late, all at once; a third one comes 2 s after.
    came = [100 + PIECE_S * piece for piece in range(25)]
    came += [max(100 + PIECE_S * piece, 100.55) for piece in range(25, 50)]
    came += [103 + PIECE_S * piece for piece in range(25)]
    with Tape(tmp_path, 1) as written:
        written.keep([], [(at, LOUD) for at in came])
    sound = tape.heard(tape.heard_in(tmp_path, 1), 99, 105)
    first, second = sound[: 3 * SAMPLE_RATE], sound[3 * SAMPLE_RATE :]
    begin, end = loud_s(first)
    assert abs(begin - (1 - PLAYOUT_S)) < 0.005
    assert abs(end - (2 - PLAYOUT_S)) < 0.005
    assert np.count_nonzero(first[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)] == 0) == 0
    assert abs(loud_s(second)[0] - (1 - PLAYOUT_S)) < 0.005


def test_a_tape_that_is_being_written_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    assert tape.ends_at(tape.heard_in(tmp_path, 2)) is None
    with Tape(tmp_path, 2) as written:
        written.keep([], [(100.0, LOUD)])
        with tape.heard_in(tmp_path, 2).open("ab") as half:
            half.write(b"half a piece")
        assert tape.ends_at(tape.heard_in(tmp_path, 2)) == 100.0
