import numpy as np
import pytest

from load_tests.callers.recorded import PIECE_S, CallRecorded
from load_tests.callers.times import CAPTURE_S, PLAYOUT_S, Ear, Mouth


def ear(*late: tuple[int, float]) -> Ear:
    """Of 200 pieces that came on time, the first after 1 s, but for those that came later by some seconds."""
    arrived_at_s = np.asarray(1 + PIECE_S * np.arange(200), np.float64)
    for piece, by_s in late:
        arrived_at_s[piece] += by_s
    return Ear.of(CallRecorded(0, "webrtc", "room", arrived_at_s=arrived_at_s))


def test_a_sample_is_heard_when_the_loudspeaker_takes_its_part_of_the_piece() -> None:
    # The piece was whole at 1 s; its first half had come 10 ms before.
    assert ear().at(0.0) == pytest.approx(1 - PLAYOUT_S)
    assert ear().at(2.005) == pytest.approx(3.005 - PLAYOUT_S)


def test_what_this_process_notices_late_does_not_count_as_lag() -> None:
    assert ear((50, 0.3), (51, 0.28)).at(50 * PIECE_S) == ear().at(50 * PIECE_S)


def test_a_line_that_stays_late_does() -> None:
    late = ear(*((piece, 0.3) for piece in range(100, 200)))
    assert late.at(3.5) == pytest.approx(ear().at(3.5) + 0.3)
    assert late.at(1.0) == pytest.approx(ear().at(1.0))


def test_a_place_in_the_sound_is_found_by_when_it_was_heard() -> None:
    assert ear().place(ear().at(2.0)) == pytest.approx(2.0, abs=PIECE_S)
    assert ear().place(0.2) == 0


def test_a_sample_is_said_before_its_part_of_the_piece_leaves() -> None:
    mouth = Mouth(np.array([0.0, 0.02, 0.5, 0.52]))
    assert mouth.at(0.025) == pytest.approx(0.025 - CAPTURE_S)
    assert mouth.at(0.04) == pytest.approx(0.5 - CAPTURE_S)


def test_a_socket_takes_late_sound_at_once_so_that_what_follows_is_not_late() -> None:
    out_at_s = np.array([0.01, 0.03, 0.5, 0.5, 0.5, 0.11])
    sockets = CallRecorded(0, "session", "session-0", due_at_s=0.01, out_at_s=out_at_s)
    assert Mouth.of(sockets).at(0.04) == pytest.approx(0.05 - CAPTURE_S)
    line = CallRecorded(0, "webrtc", "room", due_at_s=0.01, out_at_s=out_at_s)
    assert Mouth.of(line).at(0.04) == pytest.approx(0.5 - CAPTURE_S)
