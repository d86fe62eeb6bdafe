import random

import pytest

from load_tests.report.listener import holes

PIECE_S = 0.02


def arrivals(pieces: int, **late_s: float) -> list[float]:
    """Pieces in time but for those named: `at_100=0.5` is the hundredth, half a second late."""
    times = [number * PIECE_S for number in range(pieces)]
    for name, late in late_s.items():
        times[int(name.removeprefix("at_"))] += late
    # In order: what comes after a late piece comes no sooner than it.
    return [max(times[: number + 1]) for number in range(pieces)]


def test_sound_that_comes_in_time_has_no_holes() -> None:
    assert holes(arrivals(500), PIECE_S) == ()
    assert holes([], PIECE_S) == ()


def test_the_reserve_covers_what_is_not_later_than_it() -> None:
    noise = random.Random(1)
    jittery = sorted(at_s + noise.uniform(0, 0.079) for at_s in arrivals(1000))
    assert holes(jittery, PIECE_S) == ()
    assert holes(arrivals(500, at_250=0.08), PIECE_S) == ()


@pytest.mark.parametrize("stall_s", [0.13, 0.2, 0.5, 3.0])
def test_a_stall_is_heard_but_for_the_reserve(stall_s: float) -> None:
    assert holes(arrivals(500, at_250=stall_s), PIECE_S) == pytest.approx((1000 * (stall_s - 0.08),))


def test_a_stall_hides_none_that_comes_seconds_later() -> None:
    assert holes(arrivals(500, at_100=0.5, at_300=0.3), PIECE_S) == pytest.approx((420, 220))


def test_sound_that_stays_late_is_one_hole() -> None:
    stays_late = [at_s + 0.3 * (at_s >= 2) for at_s in arrivals(500)]
    assert holes(stays_late, PIECE_S) == pytest.approx((220,))


def test_a_sender_that_is_too_slow_is_one_long_stutter() -> None:
    slow = [1.25 * at_s for at_s in arrivals(1000)]
    # 20 s of sound take 25 s: 5 s too long, less the reserve.
    assert holes(slow, PIECE_S) == pytest.approx((4995 - 80,), abs=1)


def test_short_holes_are_left_out_unless_they_make_a_long_one() -> None:
    assert holes(arrivals(500, at_250=0.11), PIECE_S) == ()
    assert holes(arrivals(500, at_250=0.11), PIECE_S, audible_s=0.02) == pytest.approx((30,))
