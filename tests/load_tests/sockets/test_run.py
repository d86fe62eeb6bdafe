import pytest

from load_tests.sockets.run import COMPARED, Crowd


@pytest.mark.parametrize(("sessions", "chats"), [(3, 2), (0, COMPARED), (200, 100)])
def test_as_many_as_can_be_compared_have_words_of_their_own_and_all_others_borrow_theirs(
    sessions: int, chats: int
) -> None:
    seats = Crowd(sessions, chats, seed=0, seconds=60.0, piece_s=0.08).seats("ws://engine", "")
    alone = {seat.number for seat in seats if seat.script is None}
    assert len(alone) == min(COMPARED, sessions + chats)
    assert {seat.speaks_as for seat in seats} == alone
    assert [seat.kind for seat in seats] == ["session"] * sessions + ["chat"] * chats
    if sessions and chats:
        assert {seats[number].kind for number in alone} == {"session", "chat"}
