from dataclasses import replace

import numpy as np
import pytest

from engine.bench.results import (
    FullSteps,
    Level,
    OpenLoop,
    Peer,
    PeerLevel,
    Quantiles,
    peer_ratio,
)

STEP = Quantiles.of(np.full(100, 0.02))
LOOP = OpenLoop(10.0, 2.0, STEP, 1.0, STEP, missed=0.0, missed_worst=0.0, sender_late_ms=0.0)
LEVEL = Level(8, "full", 8, 10**9, 10.0, FullSteps(STEP, 20, 20.0), LOOP)


def test_quantiles_are_in_milliseconds() -> None:
    found = Quantiles.of([n / 1000 for n in range(101)])
    assert found.count == 101
    assert (found.mean, found.p50, found.p95, found.p99, found.max) == pytest.approx((50, 50, 95, 99, 100))


@pytest.mark.parametrize(("missed", "solved"), [(0.0, True), (0.01, True), (0.0101, False)])
def test_a_level_is_solved_with_at_most_one_miss_in_a_hundred(missed: float, solved: bool) -> None:
    assert replace(LEVEL, open_loop=replace(LOOP, missed=missed)).solved is solved


def test_a_level_with_an_error_is_not_solved() -> None:
    assert not replace(LEVEL, error="out of memory").solved
    assert not Level(8, "full", 8).solved


def test_the_floor_ratio_is_the_median_step_over_its_floor() -> None:
    assert LEVEL.floor_ratio == pytest.approx(2.0)
    assert Level(8, "full", 8).floor_ratio is None


def test_the_peer_is_compared_at_the_same_number_of_sessions_alone() -> None:
    peer = Peer("moshi", (PeerLevel(8, Quantiles.of([0.05])),))
    assert peer_ratio(peer, LEVEL) == pytest.approx(2.5)
    assert peer_ratio(peer, replace(LEVEL, sessions=4, seats=4)) is None
    assert peer_ratio(peer, replace(LEVEL, seats=7)) is None
    assert peer_ratio(None, LEVEL) is None
