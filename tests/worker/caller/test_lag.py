import numpy as np
import pytest
from numpy.typing import NDArray

from worker.caller.call_command import facts
from worker.caller.caller import SPEAKING_RATE
from worker.caller.lag import find_echo, first_sound_s


def bursts(rate: int, seconds: float = 4.0, seed: int = 0) -> NDArray[np.int16]:
    """A tone that comes and goes at random, int16 [N]."""
    times = np.arange(round(rate * seconds)) / rate
    on = np.random.default_rng(seed).integers(0, 2, round(seconds / 0.1))[(times / 0.1).astype(int)]
    return np.asarray(8000 * on * np.sin(2 * np.pi * 440 * times), np.int16)


def later(pcm: NDArray[np.int16], delay_s: float) -> NDArray[np.int16]:
    return np.concatenate([np.zeros(round(24_000 * delay_s), np.int16), pcm])


@pytest.mark.parametrize("delay_s", [0.0, 0.17, 1.25])
def test_an_echo_is_found_where_it_is(delay_s: float) -> None:
    said = bursts(24_000)
    echo = find_echo(said, later(said // 2, delay_s))
    assert echo.lag_s == pytest.approx(delay_s, abs=0.011)
    assert echo.correlation > 0.95


def test_another_sound_is_no_echo() -> None:
    assert find_echo(bursts(24_000), bursts(24_000, 8.0, seed=5)).correlation < 0.6
    assert find_echo(bursts(24_000), np.zeros(24_000, np.int16)).correlation == 0.0


def test_the_first_sound_is_the_first_loud_one() -> None:
    assert first_sound_s(later(np.full(2400, 5000, np.int16), 0.5)) == pytest.approx(0.5)
    assert first_sound_s(np.full(24_000, 20, np.int16)) is None


def test_a_caller_is_told_no_more_than_the_sound_says() -> None:
    said = bursts(SPEAKING_RATE)
    silence, other = np.zeros(24_000, np.int16), bursts(24_000, 8.0, seed=5)
    assert facts(said, silence) == ["nothing was to be heard"]
    assert len(facts(said, other)) == 1
    assert "1.00 s later" in facts(said, later(bursts(24_000), 1.0))[1]
