import numpy as np

from engine.talk.playout import LEAD_S, Playout
from engine.trim import WATCHED_FRAMES

FRAME = 1920
LEAD = round(LEAD_S * 24_000)


def sound(value: int, samples: int = FRAME) -> bytes:
    return np.full(samples, value, np.int16).tobytes()


def taken(playout: Playout, samples: int) -> np.ndarray:
    return np.frombuffer(playout.take(samples), np.int16)


def test_what_is_put_is_taken_in_order_after_a_short_lead() -> None:
    playout = Playout()
    playout.put(sound(1000))
    playout.put(sound(2000))
    heard = taken(playout, LEAD + 2 * FRAME)
    assert set(heard[:LEAD]) == {0}
    assert set(heard[LEAD : LEAD + FRAME]) == {1000}
    assert set(heard[LEAD + FRAME :]) == {2000}


def test_where_nothing_is_left_the_card_gets_silence() -> None:
    playout = Playout()
    assert set(taken(playout, 480)) == {0}
    playout.put(sound(1000, 100))
    heard = taken(playout, LEAD + 480)
    assert len(heard) == LEAD + 480
    assert set(heard[LEAD + 100 :]) == {0}


def test_a_frame_that_is_late_by_less_than_the_lead_leaves_no_hole() -> None:
    playout = Playout()
    playout.put(sound(1000))
    heard = [taken(playout, FRAME + LEAD // 2)]
    playout.put(sound(1000))
    heard.append(taken(playout, FRAME))
    assert 0 not in np.concatenate(heard)[LEAD:]


def test_lag_that_stays_is_given_back_in_silence_and_never_in_speech() -> None:
    def samples_waiting_after(level: int) -> int:
        playout = Playout()
        for _ in range(3):
            playout.put(sound(level))
        for _ in range(3 * WATCHED_FRAMES):
            playout.put(sound(level))
            playout.take(FRAME)
        return len(np.flatnonzero(taken(playout, 100 * FRAME)))

    assert samples_waiting_after(8000) == 3 * FRAME + LEAD
    assert samples_waiting_after(1) <= FRAME + LEAD


def test_without_a_card_that_takes_it_a_second_is_kept() -> None:
    playout = Playout()
    for _ in range(100):
        playout.put(sound(8000))
    assert len(np.flatnonzero(taken(playout, 100 * FRAME))) == 24_000
