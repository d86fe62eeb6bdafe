import pytest

from load_tests.visits.plan import SHORTEST_S, Visit, at_once, churn, ramp


def test_callers_come_at_the_rate_that_was_asked_for_and_are_gone_at_the_end() -> None:
    visits = churn(a_minute=12, talk_s=10, seconds=3600, seed=1)
    assert len(visits) == pytest.approx(720, rel=0.1)
    assert sum(visit.seconds for visit in visits) / len(visits) == pytest.approx(11, rel=0.15)
    assert all(visit.seconds >= SHORTEST_S for visit in visits)
    assert max(visit.leaves_at_s for visit in visits) <= 3600
    assert visits == churn(a_minute=12, talk_s=10, seconds=3600, seed=1)
    assert visits != churn(a_minute=12, talk_s=10, seconds=3600, seed=2)


def test_nobody_comes_who_could_not_say_anything() -> None:
    assert churn(a_minute=60, talk_s=10, seconds=8, seed=0) == []


def test_on_a_ramp_one_comes_after_the_other_and_all_leave_together() -> None:
    visits = ramp(callers=3, every_s=2, stay_s=10)
    assert [visit.joins_at_s for visit in visits] == [0, 2, 4]
    assert len({visit.leaves_at_s for visit in visits}) == 1
    assert visits[-1].seconds == 12
    assert at_once(visits) == 3


def test_those_who_have_left_are_not_there() -> None:
    visits = [Visit(0, 5), Visit(1, 5), Visit(30, 5), Visit(31, 5), Visit(32, 5)]
    assert at_once(visits) == 3
