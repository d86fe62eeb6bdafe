"""Each thing that a network does, alone, to a caller's packets: one every 20 ms."""

from itertools import pairwise

import numpy as np
import pytest

from load_tests.network.lane import Lane
from load_tests.network.profile import Conditions

PACKETS, EVERY_S, SIZE = 20_000, 0.02, 200


def arrivals(
    seed: int = 1, packets: int = PACKETS, every_s: float = EVERY_S, **what: float
) -> list[float | None]:
    lane = Lane(Conditions(**what), seed)
    return [lane.arrival(number * every_s, SIZE) for number in range(packets)]


def delays_s(**what: float) -> list[float]:
    return [
        at - number * EVERY_S
        for number, at in enumerate(arrivals(1, PACKETS, EVERY_S, **what))
        if at is not None
    ]


def test_a_cable_that_does_nothing() -> None:
    assert delays_s() == [0.0] * PACKETS


def test_delay_is_the_same_for_all() -> None:
    assert np.allclose(delays_s(delay_ms=35), 0.035)


def test_jitter_comes_on_top_of_the_delay_and_keeps_the_order() -> None:
    found = delays_s(delay_ms=35, jitter_ms=5)
    assert min(found) >= 0.035
    assert np.mean(found) == pytest.approx(0.040, abs=0.0005)
    at = [number * EVERY_S + delay_s for number, delay_s in enumerate(found)]
    assert all(before <= after for before, after in pairwise(at))


@pytest.mark.parametrize("burst", [1, 4])
def test_losses_have_their_share_and_come_in_rows(burst: float) -> None:
    lost = [at is None for at in arrivals(loss_percent=5, loss_burst=burst)]
    assert np.mean(lost) == pytest.approx(0.05, abs=0.01)
    rows = sum(after and not before for before, after in pairwise([False, *lost]))
    assert sum(lost) / rows == pytest.approx(burst, rel=0.15)


def test_everything_can_be_lost() -> None:
    lane = Lane(Conditions(loss_percent=100), seed=1)
    assert [lane.arrival(0.0, SIZE) for _ in range(100)] == [None] * 100
    assert (lane.counts.passed, lane.counts.lost) == (0, 100)


def test_some_are_overtaken_by_the_next() -> None:
    at = arrivals(reorder_percent=2, reorder_ms=30)
    overtaken = sum(before > after for before, after in pairwise(at) if before and after)
    assert overtaken / PACKETS == pytest.approx(0.02, abs=0.005)


def test_in_a_standstill_nothing_arrives_and_then_all_at_once() -> None:
    at = np.array(arrivals(stall_every_s=5, stall_ms=100), float)
    _, together = np.unique(at, return_counts=True)
    standstills = int((together > 1).sum())
    seconds = PACKETS * EVERY_S
    assert standstills == pytest.approx(seconds / 5.1, rel=0.25)
    assert together.max() in (5, 6)
    assert np.diff(np.unique(at)).max() == pytest.approx(0.1, abs=EVERY_S)


def test_a_rate_makes_packets_wait_for_each_other_and_drops_what_would_wait_too_long() -> None:
    # Twice what passes: 200 bytes every millisecond are 1600 kbit/s.
    at = arrivals(packets=2000, every_s=0.001, rate_kbit=800, queue_ms=50)
    passed = [when for when in at if when is not None]
    assert np.allclose(np.diff(passed), SIZE * 8 / 800_000)
    waits = [when - number * 0.001 for number, when in enumerate(at) if when is not None]
    assert max(waits) == pytest.approx(0.05, abs=0.003)
    assert len(passed) == pytest.approx(1000, rel=0.05)


def test_a_seed_gives_the_same_network_again() -> None:
    first, again, other = (
        arrivals(seed, jitter_ms=10, loss_percent=3, loss_burst=2, reorder_percent=1) for seed in (3, 3, 4)
    )
    assert first == again != other


def test_a_network_that_changes_does_the_new_thing_from_then_on() -> None:
    lane = Lane(Conditions(), 1)
    assert lane.arrival(0.0, 100) == 0.0
    lane.change(Conditions(loss_percent=100))
    assert lane.arrival(1.0, 100) is None
    lane.change(Conditions(delay_ms=20))
    assert lane.arrival(2.0, 100) == 2.02
    assert (lane.counts.passed, lane.counts.lost) == (2, 1)
