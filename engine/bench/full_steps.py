"""Steps with a frame of every session, one after the other: what the floor is compared with."""

import time
from collections.abc import Callable

from engine.bench.results import FullSteps, Quantiles
from engine.bench.sound import Sound
from engine.bench.spells import spell_s
from engine.step.loop import Runner

WARM_UP_STEPS = 20
_BETWEEN_CONTEXTS = 100


def time_full_steps(runner: Runner, sound: Sound, steps: int, renew: Callable[[], None]) -> FullSteps:
    """Time `steps` steps of all sessions in `sound`, after a warm-up.

    renew: puts the sessions back to the context that is measured, from which every step leads on; called
    every 100 steps, untimed.
    """
    slots = range(len(sound))
    renew()
    for number in range(WARM_UP_STEPS):
        runner.step(slots, sound[number])
    wall: list[float] = []
    cpu = 0.0
    for number in range(steps):
        if number % _BETWEEN_CONTEXTS == 0:
            renew()
        frame = sound[number]
        began, cpu_before = time.perf_counter(), time.process_time()
        runner.step(slots, frame)
        wall.append(time.perf_counter() - began)
        cpu += time.process_time() - cpu_before
    return FullSteps(Quantiles.of(wall), WARM_UP_STEPS, 1000 * cpu / steps, spell_s(wall))
