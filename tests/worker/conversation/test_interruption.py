import asyncio

import pytest

from engine.errors import EngineFull, EngineUnreachable, Refused
from tests.worker.waiting import until
from worker.conversation import interruption
from worker.conversation.interruption import Interruption
from worker.conversation.sentences import FULL, LOST

GONE = EngineUnreachable("gone")
TAKEN = Refused("all seats are taken")


class Told:
    """An interruption, and what was said of it."""

    def __init__(self) -> None:
        self.sentences: list[tuple[str, bool]] = []
        self.interruption = Interruption(lambda sentence, first: self.sentences.append((sentence, first)))


async def test_one_that_is_over_soon_is_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "UNTOLD_S", 0.05)
    told = Told()
    told.interruption.begin(GONE)
    told.interruption.end()
    await asyncio.sleep(0.1)
    assert told.sentences == []


async def test_one_that_lasts_is_told_once_and_again_only_as_it_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interruption, "UNTOLD_S", 0.01)
    told = Told()
    told.interruption.begin(GONE)
    told.interruption.begin(EngineFull(4, 4, 0, 3))
    assert told.sentences == [], "not at once"
    await until(lambda: told.sentences)
    told.interruption.begin(GONE)
    assert told.sentences == [(FULL, True), (LOST, False)]


async def test_each_one_is_told_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "UNTOLD_S", 0.01)
    told = Told()
    for error in (GONE, TAKEN):
        told.interruption.begin(error)
        count = len(told.sentences)
        async with asyncio.timeout(60):
            while len(told.sentences) == count:
                await asyncio.sleep(0.005)
        told.interruption.end()
    assert told.sentences == [(LOST, True), (FULL, True)]
