from engine.service.rate_limit import RateLimit
from tests.engine.fake_clock import FakeClock


def test_a_burst_is_allowed_once_and_the_average_for_ever() -> None:
    clock = FakeClock()
    limit = RateLimit(per_second=10, burst=20, clock=clock)
    assert limit.take(20)
    assert not limit.take(1)
    for _ in range(100):
        clock.now += 0.125
        assert limit.take(1.25)


def test_what_is_refused_uses_nothing_up() -> None:
    limit = RateLimit(per_second=10, burst=20, clock=FakeClock())
    assert not limit.take(21)
    assert limit.take(20)
