import math
from dataclasses import replace

import pytest

from load_tests.simulation.fleet import Fleet, Lengths, Simulation, foresee

DAY_S = 24 * 3600.0
FLEET = Fleet(engines=3, seats=4, calls_per_hour=120.0, call_s=300.0)


@pytest.mark.parametrize("lengths", ["exponential", "lognormal"])
@pytest.mark.parametrize("release_s", [0.0, 60.0])
def test_without_failures_it_refuses_what_erlang_b_says(lengths: Lengths, release_s: float) -> None:
    outlook = foresee(replace(FLEET, lengths=lengths, release_s=release_s), 4 * DAY_S, runs=3)
    assert outlook.refused.mean == pytest.approx(outlook.erlang_b, rel=0.15)
    carried = 10.0 * (1 - outlook.erlang_b)
    assert outlook.in_calls.mean == pytest.approx(carried / 12, rel=0.05)
    assert outlook.interrupted.mean == outlook.lost.mean == 0.0


def test_a_failure_cuts_off_the_calls_of_one_engine_and_takes_its_seats_away_for_a_while() -> None:
    failing = replace(FLEET, engines=6, failure_every_s=12 * 3600.0, restart_s=600.0)
    outlook = foresee(failing, 4 * DAY_S, runs=3)
    # Ten calls are on, and each engine's are cut off once in twelve hours.
    assert outlook.interrupted.mean == pytest.approx(10 / 12 / 120, rel=0.4)
    assert outlook.lost.mean < outlook.interrupted.mean / 5
    healthy = foresee(replace(failing, failure_every_s=math.inf), 4 * DAY_S, runs=3)
    assert outlook.refused.mean > healthy.refused.mean


def test_an_engine_alone_leaves_nobody_another_seat() -> None:
    alone = replace(FLEET, engines=1, seats=50, failure_every_s=6 * 3600.0, restart_s=600.0)
    days = Simulation(alone, 5 * DAY_S).run()
    assert days.interrupted > 0
    assert days.lost == days.interrupted
    # Refused are those who call while the engine starts again: ten minutes of every 370.
    assert days.refused / days.calls == pytest.approx(10 / 370, rel=0.5)


def test_an_update_that_waits_for_the_calls_cuts_nobody_off() -> None:
    patient = replace(FLEET, engines=5, update_every_s=DAY_S / 2, drain_s=math.inf, restart_s=300.0)
    days = Simulation(patient, 5 * DAY_S).run()
    assert days.interrupted == 0
    impatient = replace(patient, drain_s=0.0)
    assert Simulation(impatient, 5 * DAY_S).run().interrupted > 50


def test_an_update_takes_one_engine_after_the_other() -> None:
    # With one of two engines at a time there is always a seat: 50 for about 10 calls.
    updated = replace(FLEET, engines=2, seats=50, update_every_s=2 * 3600.0, restart_s=1200.0)
    days = Simulation(updated, 5 * DAY_S).run()
    assert days.refused == 0
    alone = replace(updated, engines=1, seats=100)
    assert Simulation(alone, 5 * DAY_S).run().refused > 0


def test_the_same_seed_gives_the_same_days() -> None:
    assert Simulation(FLEET, DAY_S, 3).run() == Simulation(FLEET, DAY_S, 3).run()
    assert Simulation(FLEET, DAY_S, 3).run() != Simulation(FLEET, DAY_S, 4).run()
