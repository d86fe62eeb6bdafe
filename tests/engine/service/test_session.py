from engine.service.session import Session
from engine.step.frames import Frame, SlotRef


def test_sound_after_the_end_reaches_no_slot() -> None:
    frames: list[Frame] = []
    session = Session("s", SlotRef(0, 1), frames.append, lambda _: "")
    session.receive(b"\0" * 3840)
    session.finish("hang_up")
    session.receive(b"\0" * 3840)
    assert [frame.number for frame in frames] == [0]
