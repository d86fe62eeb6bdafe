import asyncio

import pytest

from worker.room import idle
from worker.room.idle import Idle

LOUD, QUIET = -20.0, -60.0


def test_it_is_as_long_as_nobody_has_spoken() -> None:
    silence = Idle(10.0)
    silence.frame(QUIET, 15.0)
    assert silence.for_s(20.0) == 10.0
    silence.frame(LOUD, 20.0)
    silence.frame(QUIET, 21.0)
    assert silence.for_s(22.0) == 2.0
    silence.begin(30.0)
    assert silence.for_s(31.0) == 1.0


async def test_one_who_says_nothing_is_warned_once_and_then_it_is_over() -> None:
    began_at, warnings = asyncio.get_running_loop().time(), []
    await idle.watch(
        lambda: asyncio.get_running_loop().time() - began_at, 0.2, lambda text: warnings.append(text)
    )
    assert asyncio.get_running_loop().time() - began_at >= 0.2
    assert len(warnings) == 1
    assert "unless you say something" in warnings[0]


async def test_one_who_speaks_after_the_warning_is_warned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "_LOOK_S", 0.001)
    silent_s = iter([0.0, 0.0, 6.0, 7.0, 1.0, 6.0, 10.0])
    slept: list[float] = []
    warnings: list[str] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await idle.watch(lambda: next(silent_s), 10.0, warnings.append)
    assert warnings == [
        "I hear nobody. This call ends in 4 seconds, unless you say something.",
        "I hear nobody. This call ends in 4 seconds, unless you say something.",
    ]


async def test_without_a_limit_it_is_never_over() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await idle.watch(lambda: 1e9, 0.0, lambda _text: None)
