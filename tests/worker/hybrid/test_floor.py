"""Who is heard, rule by rule."""

import pytest

from worker.hybrid.floor import BRIDGE_S, DUCKED, Answer, Scene, answer_gain, moshi_is_heard


def test_moshi_talks_freely_while_nobody_has_an_answer() -> None:
    for caller_speaks in (False, True):
        assert moshi_is_heard(Scene(caller_speaks=caller_speaks, moshi_goes_on=True), before=True)


def test_moshi_bridges_the_wait_for_an_answer_and_then_makes_room_for_it() -> None:
    waiting = [Scene(Answer.COMING, coming_s, moshi_goes_on=True) for coming_s in (0.0, 1.9, 2.0, 60.0)]
    assert [moshi_is_heard(scene, before=True, bridge_s=2.0) for scene in waiting] == [
        True,
        True,
        False,
        False,
    ]


def test_with_no_bridge_moshi_is_silent_from_the_end_of_the_callers_turn() -> None:
    assert not moshi_is_heard(Scene(Answer.COMING, 0.0, moshi_goes_on=True), before=True, bridge_s=0.0)


@pytest.mark.parametrize("answer", [Answer.PLAYING, Answer.HELD])
@pytest.mark.parametrize("moshi_goes_on", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_moshi_never_talks_into_an_answer(answer: Answer, moshi_goes_on: bool, before: bool) -> None:
    assert not moshi_is_heard(Scene(answer, moshi_goes_on=moshi_goes_on), before)


def test_moshi_does_not_come_back_in_the_middle_of_a_sentence() -> None:
    assert not moshi_is_heard(Scene(moshi_goes_on=True), before=False)
    assert moshi_is_heard(Scene(moshi_goes_on=False), before=False)
    assert not moshi_is_heard(Scene(Answer.COMING, BRIDGE_S / 2, moshi_goes_on=True), before=False)


def test_an_answer_is_low_while_the_caller_speaks_into_it_and_silent_while_it_is_held() -> None:
    assert answer_gain(Scene(Answer.PLAYING)) == 1.0
    assert answer_gain(Scene(Answer.PLAYING, caller_speaks=True)) == DUCKED
    assert answer_gain(Scene(Answer.HELD)) == answer_gain(Scene(Answer.HELD, caller_speaks=True)) == 0.0
