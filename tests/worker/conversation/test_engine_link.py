import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from engine.client import EngineClient
from engine.errors import EngineError, EngineFull, EngineUnreachable, Refused, SessionError, SessionMoved
from engine.protocol import FRAME_BYTES, Audio, Ended, Failure, OwnWords, SessionRequest
from tests.fake_engine import FakeEngine, serving
from tests.worker.waiting import until
from worker.conversation.engine_link import (
    EngineLink,
    Event,
    Followed,
    Interrupted,
    Opened,
    Resumed,
    StartedAnew,
)

MINE = SessionRequest(room="lobby", identity="agent")
SILENCE = bytes(FRAME_BYTES)


class Line:
    """A link, and what came over it."""

    def __init__(self, link: EngineLink) -> None:
        self.link = link
        self.events: list[Event] = []
        self.running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for event in self.link:
            self.events.append(event)

    async def say(self, frames: int) -> list[int]:
        """Send some, wait for their answers; their numbers."""
        numbers = []
        for _ in range(frames):
            answers = len(self.answers)
            numbers.append(await self.link.turn())
            await self.link.send(SILENCE)
            await until(partial(self._has_more_answers_than, answers))
        return numbers

    def _has_more_answers_than(self, count: int) -> bool:
        return len(self.answers) > count

    @property
    def answers(self) -> list[int]:
        return [event.frame for event in self.events if isinstance(event, Audio)]

    @property
    def told(self) -> list[type[Event]]:
        """What happened besides sound."""
        return [type(event) for event in self.events if not isinstance(event, Audio)]


Dial = Callable[..., Awaitable[Line]]


@pytest.fixture
async def dial(client: EngineClient) -> AsyncIterator[Dial]:
    """A link that is open."""
    lines: list[Line] = []

    async def dial(patience_s: float = 60.0, resume: str = "") -> Line:
        lines.append(Line(EngineLink(client, MINE, resume, patience_s)))
        await until(lambda: lines[-1].events)
        return lines[-1]

    yield dial
    for line in lines:
        line.running.cancel()
        await asyncio.gather(line.running, return_exceptions=True)
        await line.link.close()


async def test_a_lost_connection_is_made_again_and_the_frames_go_on(engine: FakeEngine, dial: Dial) -> None:
    line = await dial()
    assert await line.say(3) == [0, 1, 2]
    await engine.drop()
    await until(lambda: Resumed in line.told)
    assert await line.say(2) == [3, 4]
    assert line.answers == [0, 1, 2, 3, 4]
    assert line.told == [Opened, Interrupted, Resumed]
    assert engine.requests == [MINE, MINE]


async def test_it_is_made_again_as_often_as_it_is_lost_with_the_newest_token(
    engine: FakeEngine, dial: Dial
) -> None:
    line = await dial()
    for resumes in range(1, 4):
        await line.say(1)
        await engine.drop()
        await until(partial(lambda count: engine.resumes == count, resumes))
    assert await line.say(1) == [3]
    assert engine.resumes == 3


async def test_an_engine_that_forgot_the_session_begins_another_one(engine: FakeEngine, dial: Dial) -> None:
    line = await dial()
    await line.say(3)
    engine.forget()
    await engine.drop()
    await until(lambda: StartedAnew in line.told)
    assert await line.say(1) == [0]
    assert line.told == [Opened, Interrupted, StartedAnew]


async def test_a_session_that_the_engine_gives_up_is_begun_anew(engine: FakeEngine, dial: Dial) -> None:
    line = await dial()
    await line.say(1)
    await engine.say(Failure("internal", "the step failed"))
    await engine.say(Ended("error"))
    await until(lambda: StartedAnew in line.told)
    interrupted = next(event for event in line.events if isinstance(event, Interrupted))
    assert str(interrupted.error) == "the step failed"
    assert engine.resumes == 0, "what has ended cannot be resumed"


async def test_a_caller_whose_seat_went_to_another_waits_for_one_and_goes_on(
    engine: FakeEngine, dial: Dial
) -> None:
    line = await dial()
    await line.say(2)
    await engine.say(Failure("engine_full", "all seats are taken"))
    await engine.say(Ended("held"))
    await until(lambda: Resumed in line.told)
    interrupted = next(event for event in line.events if isinstance(event, Interrupted))
    assert isinstance(interrupted.error, Refused)
    assert await line.say(1) == [2]


async def test_a_caller_who_is_away_stays_so_over_a_lost_connection(engine: FakeEngine, dial: Dial) -> None:
    line = await dial()
    await line.say(1)
    await line.link.pause()
    await until(lambda: engine.pauses == 1)
    await engine.drop()
    await until(lambda: engine.pauses == 2)
    await line.say(1)
    await engine.drop()
    await until(lambda: engine.resumes == 2)
    assert await line.say(1) == [2]
    assert engine.pauses == 2


async def test_a_refusal_is_told_once_and_tried_again(engine: FakeEngine, dial: Dial) -> None:
    engine.seats = 0
    line = await dial()
    await asyncio.sleep(0.5)
    (event,) = line.events
    assert isinstance(event, Interrupted)
    assert isinstance(event.error, EngineFull)
    engine.seats = 1
    await until(lambda: Opened in line.told)
    assert await line.say(1) == [0]


async def test_an_engine_that_comes_back_in_time_is_found_again() -> None:
    async with serving(FakeEngine()) as first:
        client = EngineClient(first.url)
        line = Line(EngineLink(client, MINE))
        await line.say(1)
    await until(lambda: any(_is_unreachable(event) for event in line.events))
    async with serving(FakeEngine(), port=int(first.url.rpartition(":")[2])):
        await until(lambda: StartedAnew in line.told)
        assert await line.say(1) == [0]
        line.running.cancel()
        await client.close()


def _is_unreachable(event: Event) -> bool:
    return isinstance(event, Interrupted) and isinstance(event.error, EngineUnreachable)


async def test_patience_ends(dial: Dial, engine: FakeEngine) -> None:
    engine.seats = 0
    line = await dial(patience_s=0.3)
    with pytest.raises(EngineFull):
        await line.running


async def test_nobody_there_is_an_error_of_its_own() -> None:
    async with EngineClient("ws://127.0.0.1:9") as nobody:
        line = Line(EngineLink(nobody, MINE, patience_s=0.0))
        with pytest.raises(EngineUnreachable):
            await line.running


async def test_what_the_engine_does_not_take_is_not_tried_again(engine: FakeEngine) -> None:
    async with EngineClient(engine.url) as client:
        line = Line(EngineLink(client, SessionRequest(temperature=99)))
        with pytest.raises(SessionError):
            await line.running


async def test_a_session_of_an_earlier_job_goes_on_or_begins_anew(engine: FakeEngine, dial: Dial) -> None:
    earlier = await dial()
    await earlier.say(2)
    (token,) = engine.held
    earlier.running.cancel()
    await earlier.link.close()
    later = await dial(resume=token)
    assert later.told == [Resumed]
    assert await later.say(1) == [2]
    assert (await dial(resume="nobody's")).told == [StartedAnew]


async def test_a_hang_up_ends_the_session_and_the_link(engine: FakeEngine, dial: Dial) -> None:
    line = await dial()
    await line.link.end()
    await asyncio.wait_for(line.running, 60)
    assert engine.ends == ["hang_up"]


async def test_a_hang_up_while_it_is_opened_ends_it_too(engine: FakeEngine) -> None:
    async with EngineClient(engine.url) as client:
        link = EngineLink(client, MINE)
        line = Line(link)
        await until(lambda: engine.in_calls)
        await link.end()
        await asyncio.wait_for(line.running, 60)
    assert engine.ends == ["hang_up"]


async def test_closing_it_hangs_nothing_up(engine: FakeEngine, dial: Dial) -> None:
    line = await dial()
    line.running.cancel()
    await line.link.close()
    await until(lambda: engine.ends)
    assert engine.ends == ["connection_lost"]


async def test_an_engine_that_ends_each_session_at_once_is_not_asked_in_a_hurry(engine: FakeEngine) -> None:
    async def end(*_args: object) -> str:
        await engine.say(Ended("error"))
        return "error"

    engine._converse = end  # type: ignore[assignment]  # an engine that is broken
    async with EngineClient(engine.url) as client:
        line = Line(EngineLink(client, MINE, patience_s=1.0))
        with pytest.raises(EngineError):
            await line.running
    assert len(engine.requests) < 8


@pytest.fixture
async def lily() -> AsyncIterator[FakeEngine]:
    """Another engine."""
    async with serving(FakeEngine()) as other:
        yield other


@pytest.fixture
async def between(engine: FakeEngine, lily: FakeEngine) -> AsyncIterator[Line]:
    """A link that follows from the one to the other."""
    async with EngineClient(engine.url, peers={"lily": lily.url}) as client:
        line = Line(EngineLink(client, MINE))
        await until(lambda: line.events)
        yield line
        line.running.cancel()
        await asyncio.gather(line.running, return_exceptions=True)


async def test_a_session_is_followed_to_another_engine_and_nobody_is_told(
    engine: FakeEngine, lily: FakeEngine, between: Line
) -> None:
    assert await between.say(3) == [0, 1, 2]
    await engine.hand_over(lily, "lily")
    await until(lambda: Followed in between.told)
    assert await between.say(2) == [3, 4]
    assert between.answers == [0, 1, 2, 3, 4]
    assert between.told == [Opened, Followed]
    assert engine.requests == lily.requests == [replace(MINE, follows=("lily",))]


async def test_what_the_engine_before_did_not_hear_any_more_the_other_hears(
    engine: FakeEngine, lily: FakeEngine, between: Line
) -> None:
    await between.say(2)
    engine.stalled = True
    sent = [bytes([number]) * FRAME_BYTES for number in range(3)]
    for pcm in sent:
        await between.link.turn()
        await between.link.send(pcm)
    await until(lambda: engine.frames[-3:] == sent)
    await engine.hand_over(lily, "lily")
    await until(lambda: between.answers == [0, 1, 2, 3, 4])
    assert lily.frames == sent
    assert await between.say(1) == [5]


async def test_own_words_come_right_before_their_frame_at_another_engine_too(
    engine: FakeEngine, lily: FakeEngine, between: Line
) -> None:
    engine.stalled = True
    words = OwnWords(SILENCE, "hello")
    for number in range(3):
        await between.link.turn()
        await between.link.send(SILENCE, words if number == 1 else None)
    await until(lambda: len(engine.frames) == 3)
    assert engine.own_words == {1: words}
    await engine.hand_over(lily, "lily")
    await until(lambda: between.answers == [0, 1, 2])
    assert lily.own_words == {1: words}


async def test_an_engine_that_takes_no_own_words_is_sent_none(engine: FakeEngine, dial: Dial) -> None:
    engine.card = replace(engine.card, own_words=False)
    line = await dial()
    await line.link.turn()
    await line.link.send(SILENCE, OwnWords(SILENCE, "hello"))
    await until(lambda: line.answers)
    assert not engine.own_words


async def test_an_engine_that_nobody_has_named_is_not_followed_to(
    engine: FakeEngine, lily: FakeEngine, dial: Dial
) -> None:
    line = await dial()
    await line.say(2)
    await engine.hand_over(lily, "lily")
    await until(lambda: StartedAnew in line.told)
    assert lily.requests == []
    assert len(engine.requests) == 2


async def test_a_caller_who_is_away_stays_so_at_the_other_engine(
    engine: FakeEngine, lily: FakeEngine, between: Line
) -> None:
    await between.say(1)
    await between.link.pause()
    await engine.hand_over(lily, "lily")
    await until(lambda: lily.pauses == 1)
    assert lily.frames == []
    assert await between.say(1) == [1]


async def test_who_was_moved_without_hearing_of_it_finds_the_session(
    engine: FakeEngine, lily: FakeEngine, between: Line
) -> None:
    await between.say(2)
    (session,) = engine.held.values()
    lily.held["moved"] = session
    engine.moved = {token: SessionMoved("lily", "moved") for token in engine.held}
    engine.forget()
    await engine.drop()
    await until(lambda: lily.resumes)
    assert await between.say(1) == [2]


async def test_what_the_other_engine_loses_is_begun_anew_at_home(
    engine: FakeEngine, lily: FakeEngine, between: Line
) -> None:
    await between.say(2)
    await engine.hand_over(lily, "lily")
    await until(lambda: Followed in between.told)
    lily.forget()
    lily.seats = 0
    await lily.drop()
    await until(lambda: StartedAnew in between.told)
    assert await between.say(1) == [0]
    assert len(engine.requests) == 2
