from engine.talk.latency import Latency
from tests.engine.fake_clock import FakeClock


def test_an_answer_is_timed_from_the_last_sample_of_its_frame() -> None:
    clock = FakeClock()
    latency = Latency(clock)
    assert str(latency) == "none yet"
    latency.sent(1000)
    clock.now += 1.0
    latency.sent(1000)
    clock.now += 0.030
    latency.answered()
    assert str(latency) == "p50 30 p95 30 p99 30 ms"


def test_frames_are_counted_in_pieces_of_any_length() -> None:
    clock = FakeClock()
    latency = Latency(clock)
    latency.sent(5 * 1920)
    for _ in range(5):
        clock.now += 0.010
        latency.answered()
    assert str(latency).startswith("p50 30 ")
