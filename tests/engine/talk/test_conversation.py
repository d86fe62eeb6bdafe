"""The command with an engine at the other end of a real socket; sound card and model are missing."""

import asyncio
import io
from collections.abc import Callable

import numpy as np
import pytest

from engine.errors import EngineFull, EngineUnreachable, SessionError
from engine.protocol import Ended, Failure, SessionRequest
from engine.settings import ClientSettings
from engine.talk.command import talk
from tests.engine.talk.fake_card import FakeCard
from tests.fake_engine import FakeEngine, serving

TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype(np.int16)


class Talk:
    """A conversation that goes on until the test has seen enough."""

    def __init__(self, engine: FakeEngine, card: FakeCard, request: SessionRequest | None = None) -> None:
        self.card = card
        self.hang_up = asyncio.Event()
        self._out = io.StringIO()
        settings = ClientSettings(url=engine.url)
        self.ended = asyncio.create_task(
            talk(settings, request or SessionRequest(), card, self.hang_up, self._out)
        )

    @property
    def printed(self) -> str:
        return self._out.getvalue()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                assert not self.ended.done(), self.ended.result()
                await asyncio.sleep(0.01)


async def test_what_the_microphone_hears_goes_out_and_the_answer_is_played() -> None:
    async with serving(FakeEngine()) as engine:
        talking = Talk(engine, FakeCard(TONE))
        await talking.until(lambda: len(engine.frames) > 90)
        talking.hang_up.set()
        await talking.ended
    sent = np.frombuffer(b"".join(engine.frames), np.int16)
    assert np.array_equal(sent[: len(TONE)], TONE)
    played = talking.card.played
    loud = np.flatnonzero(played)
    assert np.array_equal(np.unique(played[loud[0] : loud[-1]]), np.unique(TONE))


async def test_words_appear_and_hanging_up_says_how_long_answers_took() -> None:
    async with serving(FakeEngine(words={2: " I", 3: " hear", 40: " you", 41: "."})) as engine:
        talking = Talk(engine, FakeCard(TONE, piece_s=0.005), SessionRequest(temperature=0.5, seed=7))
        await talking.until(lambda: "." in talking.printed.partition("hangs up.")[2])
        assert talking.card.is_open
        talking.hang_up.set()
        await talking.ended
    assert engine.requests == [SessionRequest(temperature=0.5, seed=7)]
    assert engine.ends == ["hang_up"]
    assert not talking.card.is_open
    lines = talking.printed.splitlines()
    assert "You talk to a machine: fake" in lines[0]
    assert lines[1:3] == ["I hear", "you."]
    assert "answers" in lines[-1]
    assert "p99" in lines[-1]


async def test_an_engine_that_goes_down_is_told() -> None:
    async with serving(FakeEngine()) as engine:
        talking = Talk(engine, FakeCard(TONE))
        await talking.until(lambda: engine.frames)
        await engine.say(Ended("drain"))
        await talking.ended
    assert "the engine is shutting down" in talking.printed


async def test_what_the_engine_says_went_wrong_is_raised() -> None:
    async with serving(FakeEngine()) as engine:
        talking = Talk(engine, FakeCard(TONE))
        await talking.until(lambda: engine.frames)
        await engine.say(Failure("bad_session", "sound comes too fast"))
        with pytest.raises(SessionError, match="sound comes too fast"):
            await talking.ended
    assert not talking.card.is_open


async def test_a_lost_engine_is_an_error() -> None:
    async with serving(FakeEngine()) as engine:
        talking = Talk(engine, FakeCard(TONE))
        await talking.until(lambda: engine.frames)
        await engine.drop()
        with pytest.raises(EngineUnreachable, match="was lost"):
            await talking.ended


async def test_an_engine_that_does_not_answer_a_hang_up_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.talk.conversation.PARTING_S", 0.05)
    async with serving(FakeEngine(parting_s=600)) as engine:
        talking = Talk(engine, FakeCard(TONE))
        await talking.until(lambda: engine.frames)
        talking.hang_up.set()
        await asyncio.wait_for(talking.ended, 60)


async def test_a_full_engine_refuses_before_the_microphone_opens() -> None:
    async with serving(FakeEngine(seats=0)) as engine:
        talking = Talk(engine, FakeCard(TONE))
        with pytest.raises(EngineFull):
            await talking.ended
    assert len(talking.card.played) == 0


async def test_nobody_at_the_address_is_one_sentence() -> None:
    settings = ClientSettings(url="ws://127.0.0.1:1")
    with pytest.raises(EngineUnreachable, match=r"no engine answers at ws://127\.0\.0\.1:1 "):
        await talk(settings, SessionRequest(), FakeCard(TONE), asyncio.Event(), io.StringIO())
