from worker.conversation.ear import Ear


class Clock:
    """Time that passes only when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_who_was_there_with_a_dead_line_has_been_silent_all_the_time_and_who_was_gone_has_not() -> None:
    clock = Clock()
    ear = Ear(clock, half_duplex=False)
    ear.expect(anew=True)
    clock.now = 10.0
    ear.rest()
    clock.now = 20.0
    ear.expect(anew=False)
    assert ear.idle_s(counted=True) == 20.0
    ear.expect(anew=True)
    assert ear.idle_s(counted=True) == 0.0
