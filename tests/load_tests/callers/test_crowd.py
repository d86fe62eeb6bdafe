from load_tests.callers.crowd import TOGETHER, Manner
from load_tests.callers.one_call import Seat

SEATS = [Seat(number, "webrtc", f"room-{number}", "ws://server", "token") for number in range(10)]


def test_a_process_holds_as_many_as_it_can() -> None:
    assert [len(group) for group in TOGETHER.groups(SEATS)] == [8, 2]
    assert [seat for group in TOGETHER.groups(SEATS) for seat in group] == SEATS


def test_those_who_come_one_after_the_other_are_spread_over_all_processes() -> None:
    groups = Manner("a.module", 8, 0.0, processes=3).groups(SEATS)
    assert [[seat.number for seat in group] for group in groups] == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    assert len(Manner("a.module", 8, 0.0, processes=99).groups(SEATS)) == len(SEATS)
