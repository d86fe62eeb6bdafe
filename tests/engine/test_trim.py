import math

import pytest

from engine.trim import CALM_S, MOST_S, REST_S, STEP_S, PlayoutTrim

FRAME_S = 0.08
SILENT, LOUD = -math.inf, -20.0


def lag_after(arrivals: list[tuple[float, float]], trim: PlayoutTrim) -> float:
    """Play frames that arrive at (seconds, level) on a track; how much is queued before the last of them."""
    queue_ends_at = queued = 0.0
    for arrived_at, level in arrivals:
        ahead = queue_ends_at - arrived_at
        queued = max(0.0, ahead)
        left_out_s = trim.samples_to_leave_out(ahead, level) / 24_000
        queue_ends_at = max(queue_ends_at, arrived_at) + FRAME_S - left_out_s
    return queued


def on_time(frames: int, level: float, begin_s: float = 0.0) -> list[tuple[float, float]]:
    return [(begin_s + number * FRAME_S, level) for number in range(frames)]


def with_a_stall(stall_s: float, level_after: float) -> list[tuple[float, float]]:
    """A frame comes late, the next ones on time."""
    return [
        *on_time(100, SILENT),
        (100 * FRAME_S + stall_s, SILENT),
        *on_time(200, level_after, 101 * FRAME_S),
    ]


def test_without_trimming_a_stall_stays_in_the_lag() -> None:
    assert lag_after(with_a_stall(0.15, LOUD), PlayoutTrim()) == pytest.approx(0.15)


@pytest.mark.parametrize("stall_s", [0.06, 0.10, 0.15, 0.5])
def test_what_a_stall_added_is_taken_from_silence(stall_s: float) -> None:
    assert lag_after(with_a_stall(stall_s, SILENT), PlayoutTrim()) == pytest.approx(REST_S, abs=0.001)


def test_a_call_without_stalls_loses_nothing() -> None:
    trim = PlayoutTrim()
    assert [trim.samples_to_leave_out(0.005, SILENT) for _ in range(500)] == [0] * 500


def test_speech_is_never_trimmed() -> None:
    trim = PlayoutTrim()
    assert [trim.samples_to_leave_out(0.180, LOUD) for _ in range(500)] == [0] * 500


def test_headroom_that_was_needed_a_moment_ago_stays() -> None:
    trim = PlayoutTrim()
    queued = [0.010 if number % 20 == 0 else 0.150 for number in range(500)]
    assert [trim.samples_to_leave_out(each, SILENT) for each in queued] == [0] * 500


def test_frames_that_are_late_again_and_again_keep_the_headroom_they_need() -> None:
    late_s = 0.09
    backlog = [(0.0, SILENT)] * 5
    jittery = [
        (at + late_s * (number % 20 == 0), SILENT) for number, (at, _) in enumerate(on_time(400, SILENT))
    ]
    arrivals = backlog + jittery
    assert lag_after(arrivals, PlayoutTrim()) == pytest.approx(REST_S + late_s, abs=0.001)


def test_no_more_than_one_frame_goes_at_a_time() -> None:
    trim = PlayoutTrim(watched_frames=1)
    assert trim.samples_to_leave_out(0.5, SILENT) == 1920


def stalls(count: int, apart_frames: int, stall_s: float = 0.2) -> list[tuple[float, float]]:
    """Frames on time, but for one every `apart_frames` that comes late."""
    return [
        (number * FRAME_S + stall_s * (number > 0 and number % apart_frames == 0), SILENT)
        for number in range(count * apart_frames)
    ]


def test_a_hole_now_and_then_costs_no_headroom() -> None:
    trim = PlayoutTrim()
    lag_after(stalls(3, round(CALM_S / FRAME_S) + 10), trim)
    assert trim.underruns == 2
    assert trim.kept_s == REST_S


def test_holes_that_repeat_raise_the_headroom_up_to_a_limit() -> None:
    few, many = PlayoutTrim(), PlayoutTrim()
    lag_after(stalls(4, 100), few)
    lag_after(stalls(20, 100), many)
    assert few.underruns == 3
    assert few.kept_s == pytest.approx(REST_S + 2 * STEP_S)
    assert many.kept_s == pytest.approx(MOST_S)


def test_headroom_goes_back_where_holes_stay_away() -> None:
    trim = PlayoutTrim()
    arrivals = stalls(20, 100)
    begin_s = arrivals[-1][0] + FRAME_S
    calm = on_time(round(5 * CALM_S / FRAME_S), SILENT, begin_s)
    assert lag_after(arrivals + calm, trim) == pytest.approx(REST_S, abs=0.001)
    assert trim.kept_s == pytest.approx(REST_S)


def test_a_moment_without_sound_is_no_underrun() -> None:
    trim = PlayoutTrim()
    lag_after([(number * (FRAME_S + 0.004), SILENT) for number in range(100)], trim)
    assert trim.underruns == 0
