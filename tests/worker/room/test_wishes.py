"""Who has a say in how the model is to speak, and who has not."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import SessionError
from engine.protocol import SessionRequest
from tests.fake_engine import FakeEngine
from tests.worker.calls import HOUR, Begin
from tests.worker.fakes import FakePerson, FakeRoom, FakeSource
from tests.worker.waiting import until
from worker.room.call import CallLimits, CallManner
from worker.room.reasons import Reason
from worker.room.room_policy import RoomPolicy
from worker.room.wishes import Wishes


def ours(**parameters: object) -> str:
    return json.dumps({"moshi": parameters, "an app's": "own"})


def person(identity: str = "ada", *, may_change: bool = False, **parameters: str) -> Any:
    attributes = {f"moshi.{name}": value for name, value in parameters.items()}
    return FakePerson(
        identity, attributes=attributes, permissions=SimpleNamespace(can_update_metadata=may_change)
    )


async def test_the_dispatch_goes_before_the_room_and_that_before_the_callers_token() -> None:
    wishes = Wishes.of(SessionRequest(voice="a"), ours(voice="b", prompt="b", seed=2), 0)
    caller = person(voice="c", prompt="c", seed="3", temperature="0.3")
    assert wishes.of_caller(caller) == SessionRequest(voice="a", prompt="b", seed=2, temperature=0.3)


async def test_who_may_change_their_own_attributes_has_no_say() -> None:
    wishes = Wishes.of(SessionRequest(voice="a"), "", 0)
    assert wishes.of_caller(person(may_change=True, prompt="I am root")) == SessionRequest(voice="a")
    assert wishes.of_caller(None) == SessionRequest(voice="a")


async def test_what_is_wrong_is_told_when_it_is_asked_for() -> None:
    wishes = Wishes.of(SessionRequest(), ours(temperature=99), 0)
    with pytest.raises(SessionError, match="temperature='99' is not a number from 0 to 10"):
        wishes.of_caller(person())
    with pytest.raises(SessionError, match="top_k"):
        Wishes.of(SessionRequest(), "", 0).of_caller(person(top_k="many"))


async def test_the_session_waits_for_the_first_caller_and_no_other_has_a_say(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    room = FakeRoom()
    begin(room, wishes=Wishes.of(SessionRequest(seed=1), "", 30.0))
    await asyncio.sleep(0)
    room.enter(person("ada", voice="ann"))
    room.enter(person("bob", voice="bob"))
    await until(lambda: engine.requests)
    assert [(request.voice, request.seed) for request in engine.requests] == [("ann", 1)]


async def test_what_a_caller_changes_later_changes_nothing(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    room, ada = FakeRoom(), person("ada", voice="ann")
    begin(room, wishes=Wishes.of(SessionRequest(), "", 30.0))
    room.enter(ada)
    await until(lambda: engine.in_calls)
    ada.attributes["moshi.voice"] = "bob"
    room.emit("participant_attributes_changed", {"moshi.voice": "bob"}, ada)
    engine.forget()
    await engine.drop()
    await until(lambda: len(engine.requests) > 1)
    assert {request.voice for request in engine.requests} == {"ann"}


async def test_who_comes_later_than_the_session_can_wait_gets_what_the_app_has_chosen(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    room = FakeRoom()
    begin(room, wishes=Wishes.of(SessionRequest(voice="ann"), "", 0.01))
    await until(lambda: engine.requests)
    room.enter(person("ada", prompt="late"))
    assert engine.requests[0].voice == "ann"
    assert engine.requests[0].prompt is None


async def test_who_comes_late_is_told_what_is_wrong_with_the_room(
    begin: Begin, sound_card: FakeSource
) -> None:
    room = FakeRoom()
    call = begin(room, HOUR, Wishes.of(SessionRequest(), ours(temperature="hot"), 0.01))
    # The patience is over by then.
    await asyncio.sleep(0.1)
    assert not call.done()
    room.enter(person("ada"))
    async with asyncio.timeout(20):
        assert await call is Reason.REFUSED
    assert "temperature='hot'" in "".join(segment.text for segment in room.local_participant.segments)


async def test_a_room_of_which_something_is_wrong_waits_for_nobody_for_ever(
    begin: Begin, sound_card: FakeSource
) -> None:
    limits = CallLimits(max_s=3600, arrival_s=0.05)
    call = begin(FakeRoom(), limits, Wishes.of(SessionRequest(), ours(temperature="hot"), 0.01))
    async with asyncio.timeout(20):
        assert await call is Reason.NOBODY_CAME


async def test_with_a_conversation_for_each_every_token_has_its_own_say(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource
) -> None:
    room = FakeRoom()
    begin(room, wishes=Wishes.of(SessionRequest(), "", 30.0), manner=CallManner(RoomPolicy.EACH))
    room.enter(person("ada", voice="ann"))
    room.enter(person("bob", voice="bob"))
    await until(lambda: len(engine.requests) == 2)
    assert {request.voice for request in engine.requests} == {"ann", "bob"}


@pytest.mark.parametrize("by_engine", [False, True])
async def test_a_caller_is_told_why_the_call_cannot_begin(
    engine: FakeEngine, begin: Begin, sound_card: FakeSource, by_engine: bool
) -> None:
    if by_engine:
        engine.refuses = SessionError("no voice is called 'eve'; this engine has ann, bob")
    room, ada = FakeRoom(), person("ada", voice="eve", temperature="1" if by_engine else "hot")
    call = begin(room, HOUR, Wishes.of(SessionRequest(), "", 30.0))
    room.enter(ada)
    async with asyncio.timeout(20):
        assert await call is Reason.REFUSED
    said = "".join(segment.text for segment in room.local_participant.segments)
    assert "This call cannot begin: " in said
    assert ("this engine has ann, bob" if by_engine else "temperature='hot'") in said
