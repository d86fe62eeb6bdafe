import pytest

from load_tests.simulation.erlang import erlangs_at, refused_share


def test_it_agrees_with_the_formula_written_out() -> None:
    # Two seats and one erlang: (1/2) / (1 + 1 + 1/2).
    assert refused_share(1.0, 2) == pytest.approx(0.2)


def test_nobody_calls_and_nobody_is_refused_and_without_seats_everybody_is() -> None:
    assert refused_share(0.0, 3) == 0.0
    assert refused_share(5.0, 0) == 1.0


def test_many_seats_stay_finite() -> None:
    assert 0.0 < refused_share(1000.0, 1000) < 0.03


@pytest.mark.parametrize("seats", [1, 8, 400])
def test_the_load_for_a_share_of_refusals_is_refused_that_share(seats: int) -> None:
    load = erlangs_at(0.001, seats)
    assert refused_share(load, seats) == pytest.approx(0.001, rel=1e-3)
    assert 0 < load < seats


def test_many_seats_together_take_more_calls_than_the_same_seats_apart() -> None:
    assert erlangs_at(0.001, 400) > 10 * 1.3 * erlangs_at(0.001, 40)
