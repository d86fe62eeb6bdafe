"""How many calls that need no engine are on, in time that only the test lets pass."""

from dataclasses import dataclass, field

from worker.pipeline_seats import COMING_S, PipelineSeats


@dataclass
class Worker:
    """Its jobs, and its clock."""

    on: set[str] = field(default_factory=set)
    now: float = 100.0

    def seats(self, number: int) -> PipelineSeats:
        seats = PipelineSeats(lambda: self.on, lambda: self.now)
        seats.seats = number
        return seats


def test_so_many_are_taken_and_no_more() -> None:
    seats = Worker().seats(2)
    assert [seats.take(job) for job in ("a", "b", "c")] == [True, True, False]
    assert seats.used == 2


def test_a_call_that_is_over_makes_room_at_once_however_short_it_was() -> None:
    worker = Worker()
    seats = worker.seats(1)
    assert seats.take("a")
    worker.on.add("a")
    assert seats.used == 1
    worker.on.clear()
    assert seats.take("b")


def test_a_call_that_never_begins_makes_room_after_a_while_or_when_it_is_given_back() -> None:
    worker = Worker()
    seats = worker.seats(1)
    assert seats.take("a")
    worker.now += COMING_S - 1
    assert not seats.take("b")
    worker.now += 1
    assert seats.take("b")
    seats.give_back("b")
    assert seats.take("c")


def test_a_call_counts_for_as_long_as_it_is_on() -> None:
    worker = Worker(on={"a"})
    seats = worker.seats(1)
    assert seats.take("a")
    worker.now += 3600
    assert seats.used == 1
