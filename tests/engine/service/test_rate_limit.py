from engine.service.rate_limit import RateLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_allowed_once_and_the_average_for_ever() -> None:
    clock = Clock()
    limit = RateLimit(per_second=10, burst=20, clock=clock)
    assert limit.take(20)
    assert not limit.take(1)
    for _ in range(100):
        clock.now += 0.125
        assert limit.take(1.25)


def test_what_is_refused_uses_nothing_up() -> None:
    limit = RateLimit(per_second=10, burst=20, clock=Clock())
    assert not limit.take(21)
    assert limit.take(20)
