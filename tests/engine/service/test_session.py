from engine.service.places import Place
from engine.service.session import Owner, Session
from engine.step.frames import Frame, SlotRef


def test_sound_after_the_end_reaches_no_slot() -> None:
    frames: list[Frame] = []
    session = Session(Place("s", SlotRef(0, 1)), 1, Owner(), frames.append, lambda _: "")
    session.receive(b"\0" * 3840)
    session.disconnect("hang_up")
    session.receive(b"\0" * 3840)
    assert [frame.number for frame in frames] == [0]
