import numpy as np

from worker.sound.mix import MOST_WAITING, Mix


def sound(value: int) -> bytes:
    return np.full(4, value, "<i2").tobytes()


def test_one_voice_alone_goes_through_as_it_is() -> None:
    mix = Mix()
    ada = mix.join()
    assert [mix.add(ada, sound(number)) for number in range(3)] == [sound(0), sound(1), sound(2)]


def test_each_frame_of_the_leading_voice_takes_one_of_the_others_with_it() -> None:
    mix = Mix()
    ada, bob, eve = mix.join(), mix.join(), mix.join()
    assert mix.add(bob, sound(20)) is None
    assert mix.add(eve, sound(300)) is None
    assert mix.add(ada, sound(1)) == sound(321)
    assert mix.add(ada, sound(2)) == sound(2), "the others said nothing meanwhile"


def test_what_is_louder_than_can_be_said_is_cut_off_and_does_not_wrap() -> None:
    mix = Mix()
    ada, bob = mix.join(), mix.join()
    mix.add(bob, sound(-30_000))
    assert mix.add(ada, sound(-30_000)) == sound(-32_768)


def test_when_the_leading_voice_leaves_the_next_one_leads() -> None:
    mix = Mix()
    ada, bob = mix.join(), mix.join()
    mix.leave(ada)
    assert mix.add(bob, sound(7)) == sound(7)


def test_when_the_leading_voice_falls_silent_another_one_leads_and_is_not_behind() -> None:
    mix = Mix()
    ada, bob = mix.join(), mix.join()
    mix.add(ada, sound(1))
    heard = [mix.add(bob, sound(number)) for number in range(MOST_WAITING + 2)]
    assert heard == [*[None] * MOST_WAITING, sound(MOST_WAITING), sound(MOST_WAITING + 1)]
