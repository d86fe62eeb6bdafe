"""What is told and counted of a session that comes and goes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from engine.errors import EngineFull, EngineUnreachable
from engine.protocol import Ready
from worker.conversation import interruption
from worker.conversation.engine_link import Followed, Interrupted, Opened, Resumed
from worker.conversation.mouth import Mouth
from worker.conversation.news import News
from worker.conversation.sentences import BACK, LOST
from worker.signs.troubles import Troubles
from worker.watching.diary import Diary, Event

GONE = Interrupted(EngineUnreachable("gone"))
FULL = Interrupted(EngineFull(4, 4, 0, 3))
READY = Ready("s1", "fake", 4, 80)


class Sign:
    """Where nobody looks."""

    def show(self, _name: str, _value: str) -> None:
        pass

    def asked(self, _name: str) -> str:
        return ""


class Silent:
    """A mouth that nothing is played with."""

    def announce(self, _clip: object) -> None:
        pass


class Told:
    """News, what was written of it, and what was counted."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.counted: list[Event] = []
        troubles = Troubles(Sign(), self.texts.append)
        diary = Diary(lambda event, _facts: self.counted.append(event))
        self.news = News("AJ_1", troubles, cast(Mouth, Silent()), self.texts.append, diary)

    def take(self, *events: Any) -> None:
        for event in events:
            self.news.take(event)


@pytest.fixture
async def told(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Told]:
    monkeypatch.setattr(interruption, "UNTOLD_S", 0.0)
    told = Told()
    yield told
    told.news.close()


async def test_an_engine_that_is_lost_is_counted_once_whatever_it_answers_meanwhile(told: Told) -> None:
    told.take(Opened(READY), GONE, FULL, GONE, Resumed(READY), GONE)
    assert told.counted == [Event.SESSION_BEGAN, Event.ENGINE_LOST, Event.RESUMED, Event.ENGINE_LOST]


async def test_an_engine_that_there_never_was_is_not_lost(told: Told) -> None:
    told.take(FULL, GONE, Opened(READY))
    assert told.counted == [Event.SESSION_BEGAN]


async def test_who_finds_a_session_at_another_engine_reads_that_it_goes_on(told: Told) -> None:
    told.take(Opened(READY), GONE)
    await asyncio.sleep(0.01)
    assert told.texts == [LOST]
    told.take(Followed(READY, "lily"))
    assert told.texts == [LOST, BACK]


async def test_who_is_moved_in_a_moment_reads_nothing(told: Told) -> None:
    told.take(Opened(READY), Followed(READY, "lily"))
    await asyncio.sleep(0.01)
    assert told.texts == []
