import pytest

from engine.service.timeline import Timeline


def test_what_was_put_in_takes_no_time_of_the_speaker() -> None:
    timeline = Timeline()
    timeline.insert(0.0, 1.0)
    timeline.insert(3.0, 0.5)
    heard = [timeline.sound_s(at) for at in (-1.0, 0.5, 1.0, 2.0, 3.0, 3.25, 3.5, 4.0)]
    assert heard == pytest.approx([0, 0, 0, 1, 2, 2, 2, 2.5])


def test_forgetting_what_is_past_changes_no_later_time() -> None:
    timeline, whole = Timeline(), Timeline()
    for one in (timeline, whole):
        one.insert(0.0, 1.0)
        one.insert(2.0, 0.5)
    for at in (0.5, 1.5, 2.2, 2.5, 7.0):
        assert timeline.sound_s(at) == pytest.approx(whole.sound_s(at))
        timeline.forget(at)
