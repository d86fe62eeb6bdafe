import pytest

from worker.room.grace import departure_timeout_s, grace_in


@pytest.mark.parametrize("grace_s", [0.0, 0.5, 15.0, 600.0])
def test_a_room_of_ours_stays_open_for_the_whole_grace_period(
    grace_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert grace_in(departure_timeout_s(grace_s), grace_s, "job1") == grace_s
    assert caplog.records == []


def test_a_room_that_closes_sooner_gives_less_and_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert grace_in(10, 15, "job1") == 8
    (line,) = caplog.records
    assert "WORKER_GRACE_SECONDS" in line.getMessage()
    assert vars(line)["departure_timeout_s"] == 10


def test_a_room_that_closes_at_once_gives_none() -> None:
    assert grace_in(1, 15, "job1") == 0
