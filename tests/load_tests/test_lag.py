import numpy as np
import pytest

from engine.errors import EngineError
from load_tests.lag import BURST_S, Lags, heard_after, tones
from worker.caller import SPEAKING_RATE
from worker.lag import envelope

MODEL_DELAY_S = 1.007


@pytest.mark.parametrize("beyond_s", [0.0, 0.17, 0.5, 1.2])
def test_every_tone_is_found_where_it_comes_back(beyond_s: float) -> None:
    pcm, begins = tones(700, 20.0, seed=1)
    lag_s = MODEL_DELAY_S + beyond_s
    heard = envelope(np.concatenate([np.zeros(round(24_000 * lag_s), np.int16), pcm[::2]]))
    for begin in begins:
        middle_s = begin / SPEAKING_RATE + BURST_S / 2
        assert heard_after(middle_s, MODEL_DELAY_S - 0.1, heard) == pytest.approx(lag_s, abs=0.006)


def test_a_tone_that_does_not_come_back_is_counted_as_lost() -> None:
    assert heard_after(1.0, 0.0, np.zeros(1000)) is None
    assert heard_after(1.0, 0.0, np.zeros(10)) is None
    lags = Lags.of("test", 1, 1.0, [1.2, None, 1.1])
    assert (lags.said, lags.heard) == (3, 2)
    with pytest.raises(EngineError, match="none came back"):
        Lags.of("test", 1, 1.0, [None, None])


def test_lags_are_those_beyond_the_models_delay() -> None:
    lags = Lags.of("test", 4, 1.0, [1.0 + n / 1000 for n in range(101)])
    assert (lags.p50_ms, lags.p95_ms, lags.p99_ms, lags.worst_ms) == (50, 95, 99, 100)
    assert "4 callers" in str(lags)
