"""What is seen of an engine while it is killed and comes back."""

from engine.admin_protocol import LiveSession
from load_tests.faults.eye import Eye, Seen


def session(name: str, *, connected: bool = True) -> LiveSession:
    return LiveSession(name, "room", "agent-1", connected, ())


def seen(*looks: Seen) -> Eye:
    eye = Eye()
    for look in looks:
        eye.note(look)
    return eye


def test_a_session_that_lost_its_connection_is_back_when_it_has_one_again() -> None:
    eye = seen(
        Seen(0.0, True, (session("a"),)),
        Seen(10.1, True, (session("a", connected=False),)),
        Seen(10.9, True, (session("a"),)),
    )
    assert eye.back_after("room", 10.0, 20.0) == 10.9 - 10.0
    assert eye.session_of("room", 20.0) == "a"
    assert eye.unready_after(10.0, 20.0) is None


def test_a_killed_engine_is_not_ready_and_has_lost_all_sessions() -> None:
    eye = seen(
        Seen(0.0, True, (session("a"),)),
        Seen(10.1, True, None),
        Seen(10.2, False, None),
        Seen(14.0, True, ()),
        Seen(14.5, True, (session("b"),)),
    )
    assert eye.unready_after(10.0, 20.0) == 10.2 - 10.0
    assert eye.back_after("room", 10.0, 20.0) == 4.5
    assert eye.session_of("room", 10.15) == "a"
    assert eye.session_of("room", 14.2) is None
    assert eye.session_of("room", 20.0) == "b"


def test_a_session_that_never_lost_its_connection_was_not_brought_back() -> None:
    eye = seen(Seen(0.0, True, (session("a"),)), Seen(12.0, True, (session("a"), session("b"))))
    assert eye.back_after("room", 10.0, 20.0) is None
    assert eye.sessions_in("room", 20.0) == 2
