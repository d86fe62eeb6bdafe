import pytest

from engine.errors import EngineFull, SessionError
from engine.service.seats import Seats
from tests.engine.fake_clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def seats(clock: FakeClock) -> Seats:
    return Seats(2, clock)


def test_the_last_seat_is_given_and_the_next_caller_refused_with_the_numbers(seats: Seats) -> None:
    seats.enter(None)
    seats.reserve("job-1", 20)
    with pytest.raises(EngineFull) as refusal:
        seats.enter(None)
    assert (refusal.value.seats, refusal.value.in_calls, refusal.value.reserved) == (2, 1, 1)
    assert "all 2 seats are taken (1 in calls, 1 reserved)" in str(refusal.value)


def test_who_reserved_a_seat_enters_a_full_engine(seats: Seats) -> None:
    seats.enter(None)
    seats.reserve("job-1", 20)
    seats.enter("job-1")
    assert (seats.in_calls, seats.reserved) == (2, 0)


def test_a_reservation_lapses_after_its_time(seats: Seats, clock: FakeClock) -> None:
    seats.reserve("job-1", 20)
    clock.now = 19.9
    assert seats.reserved == 1
    clock.now = 20.0
    assert seats.reserved == 0


def test_a_lapsed_reservation_still_enters_where_a_seat_is_free(seats: Seats, clock: FakeClock) -> None:
    seats.reserve("job-1", 20)
    clock.now = 30.0
    seats.enter("job-1")
    assert seats.in_calls == 1


def test_the_same_id_holds_one_seat_and_renews_it(seats: Seats, clock: FakeClock) -> None:
    seats.enter(None)
    seats.reserve("job-1", 20)
    clock.now = 15.0
    seats.reserve("job-1", 20)
    clock.now = 34.0
    assert seats.reserved == 1


def test_seats_given_back_are_free(seats: Seats) -> None:
    seats.enter(None)
    seats.reserve("job-1", 20)
    seats.leave()
    seats.release("job-1")
    seats.release("nobody's")
    assert (seats.in_calls, seats.reserved) == (0, 0)


@pytest.mark.parametrize(
    ("seat", "ttl_s"), [("", 20.0), ("x" * 129, 20.0), ("a/b", 20.0), ("job", 0.0), ("job", 61.0)]
)
def test_an_unusable_reservation_is_an_error_that_says_the_rule(
    seats: Seats, seat: str, ttl_s: float
) -> None:
    with pytest.raises(SessionError, match=r"1 to 128 characters|up to 60 s"):
        seats.reserve(seat, ttl_s)
    assert seats.reserved == 0
