import numpy as np
import pytest

from engine.latency_window import LatencyWindow
from tests.engine.fake_clock import FakeClock


def test_quantiles_are_right_within_one_percent() -> None:
    window = LatencyWindow(FakeClock(1000.0))
    values = np.random.default_rng(1).lognormal(np.log(0.02), 0.8, 5000)
    for value in values:
        window.observe(float(value))
    exact = np.quantile(values, (0.5, 0.95, 0.99), method="inverted_cdf")
    assert window.last_minute() == pytest.approx(exact, rel=0.011)
    assert window.whole_call() == pytest.approx(exact, rel=0.011)


def test_the_last_minute_forgets_and_the_call_does_not() -> None:
    clock = FakeClock(1000.0)
    window = LatencyWindow(clock)
    window.observe(0.5)
    clock.now += 56
    window.observe(0.01)
    assert window.last_minute() == pytest.approx((0.01, 0.5, 0.5), rel=0.011)
    clock.now += 10
    assert window.last_minute() == pytest.approx((0.01, 0.01, 0.01), rel=0.011)
    clock.now += 1000
    assert window.last_minute() is None
    assert window.whole_call() == pytest.approx((0.01, 0.5, 0.5), rel=0.011)


def test_nothing_observed_has_no_quantiles() -> None:
    window = LatencyWindow(FakeClock(1000.0))
    assert window.last_minute() is None
    assert window.whole_call() is None


def test_values_beyond_the_range_count_at_its_ends() -> None:
    window = LatencyWindow(FakeClock(1000.0))
    window.observe(0.0)
    window.observe(1e6)
    assert window.last_minute() == pytest.approx((20e-6, 100.0, 100.0), rel=0.011)
