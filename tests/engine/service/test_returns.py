"""Callers who lose their connection or leave for a moment, and find their conversation again.

The fake model's words count the frames that it has answered: " hear" comes with the second, " you" with the
third. So they tell whether a conversation went on or began anew.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from engine.admin import EngineAdmin
from engine.client import EngineClient, EngineSession
from engine.errors import (
    AlreadyClaimed,
    EngineDraining,
    EngineFull,
    EngineUnreachable,
    SessionError,
    SessionGone,
)
from engine.protocol import Audio, Ended, Event, Failure, SessionRequest, Text
from tests.engine.service.conftest import RunningEngine, StartEngine

ANN = SessionRequest(room="the lobby / évora", identity="ann", seed=5)
BOB = SessionRequest(room="kitchen", identity="bob")
FRAME = b"\1\2" * 1920


async def say(session: EngineSession, frames: int = 1) -> list[Event]:
    """Speak, frame by frame, and listen to the answers."""
    heard: list[Event] = []
    for _ in range(frames):
        await session.send(FRAME)
        async for event in session:
            heard.append(event)
            if isinstance(event, Audio):
                break
    return heard


def numbers(heard: list[Event]) -> list[int]:
    return [event.frame for event in heard if isinstance(event, Audio)]


async def rest(session: EngineSession) -> list[Event]:
    return [event async for event in session]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def held(client: EngineClient, count: int) -> None:
    async with asyncio.timeout(60):
        while (await client.seats()).held != count:
            await asyncio.sleep(0.01)


async def lose(engine: RunningEngine, session: EngineSession) -> None:
    """As when a network or a process dies."""
    before = (await engine.client.seats()).held
    session._socket._conn.transport.abort()  # type: ignore[union-attr]  # as a cable that is pulled
    await held(engine.client, before + 1)


async def page(engine: RunningEngine) -> str:
    async with aiohttp.ClientSession() as http, http.get(f"{engine.http}/metrics") as answer:
        return await answer.text()


async def test_a_lost_session_goes_on_where_it_was(engine: RunningEngine) -> None:
    session = await engine.client.open(ANN)
    assert (session.ready.grace_s, session.ready.frame) == (15.0, 0)
    await say(session)
    await lose(engine, session)
    with pytest.raises(EngineUnreachable):
        await rest(session)
    again = await engine.client.open(ANN, resume=session.ready.resume)
    assert (again.ready.session, again.ready.seed, again.ready.frame) == (session.ready.session, 5, 1)
    heard = await say(again, 2)
    assert numbers(heard) == [1, 2]
    await again.end()
    words = [event for event in heard + await rest(again) if isinstance(event, Text)]
    assert words == [Text(1, " hear"), Text(2, " you")]
    assert len(engine.runner.joined) == 1
    assert 'moshi_resumes_total{where="slot"} 1.0' in await page(engine)


async def test_a_call_that_was_hung_up_never_comes_back(engine: RunningEngine) -> None:
    session = await engine.client.open(ANN)
    await session.end()
    assert await rest(session) == [Ended("hang_up")]
    with pytest.raises(SessionGone, match="open a new one"):
        await engine.client.open(ANN, resume=session.ready.resume)


@pytest.mark.parametrize("resume", ["", "x", "\xff" * 8, "0" * 4000])
async def test_a_token_that_nobody_was_given_opens_nothing(engine: RunningEngine, resume: str) -> None:
    session = await engine.client.open(ANN)
    await lose(engine, session)
    async with aiohttp.ClientSession() as http:
        headers = {"Moshi-Resume": resume, **ANN.to_headers()}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{engine.url}/v1/session", headers=headers)
    assert refused.value.status == 410
    assert (await engine.client.seats()).held == 1


@pytest.mark.parametrize(
    "other",
    [
        SessionRequest(),
        SessionRequest(room=ANN.room),
        SessionRequest(room=ANN.room, identity="bob"),
        SessionRequest(room="the lobby", identity="ann"),
    ],
)
async def test_a_session_comes_back_to_its_own_caller_in_its_own_room_alone(
    engine: RunningEngine, other: SessionRequest
) -> None:
    session = await engine.client.open(ANN)
    with pytest.raises(SessionGone):
        await engine.client.open(other, resume=session.ready.resume)
    assert numbers(await say(session)) == [0]
    await lose(engine, session)
    with pytest.raises(SessionGone):
        await engine.client.open(other, resume=session.ready.resume)
    again = await engine.client.open(ANN, resume=session.ready.resume)
    assert numbers(await say(again)) == [1]


async def test_every_connection_has_a_token_of_its_own(engine: RunningEngine) -> None:
    session = await engine.client.open(ANN)
    again = await engine.client.open(ANN, resume=session.ready.resume)
    await say(again)
    with pytest.raises(SessionGone):
        await engine.client.open(ANN, resume=session.ready.resume)
    await lose(engine, again)
    with pytest.raises(SessionGone):
        await engine.client.open(ANN, resume=session.ready.resume)
    assert (await engine.client.open(ANN, resume=again.ready.resume)).ready.session == session.ready.session


async def test_who_never_heard_the_answer_to_a_resume_can_ask_again(engine: RunningEngine) -> None:
    session = await engine.client.open(ANN)
    await lose(engine, session)
    for _ in range(3):
        unheard = await engine.client.open(ANN, resume=session.ready.resume)
        await lose(engine, unheard)
    again = await engine.client.open(ANN, resume=session.ready.resume)
    assert again.ready.session == session.ready.session


async def test_a_new_connection_takes_over_from_one_that_seems_to_be_there(engine: RunningEngine) -> None:
    half_open = await engine.client.open(ANN)
    await say(half_open)
    again = await engine.client.open(ANN, resume=half_open.ready.resume)
    assert await rest(half_open) == [Ended("taken_over")]
    assert numbers(await say(again)) == [1]
    seats = await engine.client.seats()
    assert (seats.in_calls, seats.held) == (1, 0)


async def test_a_peer_that_answers_no_ping_is_held(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.service.session_socket._HEARTBEAT_S", 0.2)
    async with start_engine() as engine, aiohttp.ClientSession() as http:
        url = f"{engine.url}/v1/session"
        async with http.ws_connect(url, headers=ANN.to_headers(), autoping=False) as socket:
            ready = await socket.receive_json()
            await held(engine.client, 1)
            again = await engine.client.open(ANN, resume=ready["resume"])
            assert again.ready.session == ready["session"]


async def test_what_was_answered_while_nobody_listened_is_lost(engine: RunningEngine) -> None:
    session = await engine.client.open(ANN)
    engine.runner.open_gate.clear()
    await session.send(3 * FRAME)
    assert await asyncio.to_thread(engine.runner.stepping.wait, 5)
    await lose(engine, session)
    engine.runner.open_gate.set()
    await until(lambda: len(engine.runner.batches) == 1)
    again = await engine.client.open(ANN, resume=session.ready.resume)
    assert again.ready.frame == 3
    assert numbers(await say(again)) == [3]
    assert len(engine.runner.batches) == 2, "what still waited was never stepped"


async def test_answers_that_were_on_their_way_are_not_heard_on_the_next_connection(
    engine: RunningEngine,
) -> None:
    session = await engine.client.open(ANN)
    engine.runner.open_gate.clear()
    await session.send(2 * FRAME)
    assert await asyncio.to_thread(engine.runner.stepping.wait, 5)
    again = await engine.client.open(ANN, resume=session.ready.resume)
    engine.runner.open_gate.set()
    assert again.ready.frame == 2
    heard = await say(again)
    assert numbers(heard) == [2]


async def test_what_was_said_before_a_pause_is_answered_even_if_the_seat_goes_to_another(
    start_engine: StartEngine,
) -> None:
    async with start_engine(slots=1) as engine:
        ann = await engine.client.open(ANN)
        engine.runner.open_gate.clear()
        await ann.send(3 * FRAME)
        await ann.pause()
        await held(engine.client, 1)
        bob = await engine.client.open(BOB)
        engine.runner.open_gate.set()
        await say(bob)
        heard = [await anext(aiter(ann)) for _ in range(5)]
        assert numbers(heard) == [0, 1, 2]
        assert engine.runner.calls == ["join", "step", "step", "step", "lift", "join", "step"]


async def test_half_a_frame_before_the_loss_is_not_heard_after_it(engine: RunningEngine) -> None:
    session = await engine.client.open(ANN)
    await session.send(FRAME[:1000])
    await say(session)
    await session.send(FRAME[:-1000])
    await session.send(FRAME[:500])
    await lose(engine, session)
    again = await engine.client.open(ANN, resume=session.ready.resume)
    heard = await say(again)
    assert [event.pcm for event in heard if isinstance(event, Audio)] == [FRAME]


async def test_a_session_is_over_when_nobody_came_back_in_time(start_engine: StartEngine) -> None:
    async with start_engine(grace_seconds=0.2) as engine:
        session = await engine.client.open(ANN)
        await session.close()
        async with asyncio.timeout(60):
            while 'moshi_sessions_ended_total{reason="connection_lost"} 1.0' not in await page(engine):
                await asyncio.sleep(0.01)
        with pytest.raises(SessionGone):
            await engine.client.open(ANN, resume=session.ready.resume)
        seats = await engine.client.seats()
        assert (seats.in_calls, seats.held) == (0, 0)


async def test_without_a_grace_period_a_lost_session_is_over(start_engine: StartEngine) -> None:
    async with start_engine(grace_seconds=0) as engine:
        session = await engine.client.open(ANN)
        assert (session.ready.resume, session.ready.grace_s) == ("", 0.0)
        await session.close()
        async with asyncio.timeout(60):
            while (await engine.client.seats()).in_calls:
                await asyncio.sleep(0.01)
        assert (await engine.client.seats()).held == 0


async def test_the_seat_of_a_held_session_goes_to_who_needs_it_and_the_state_waits(
    start_engine: StartEngine,
) -> None:
    async with start_engine(slots=1) as engine:
        ann = await engine.client.open(ANN)
        await say(ann)
        await lose(engine, ann)
        bob = await engine.client.open(BOB)
        assert numbers(await say(bob, 2)) == [0, 1]
        assert 'moshi_sessions_held{where="host"} 1.0' in await page(engine)
        with pytest.raises(EngineFull):
            await engine.client.open(ANN, resume=ann.ready.resume)
        assert (await engine.client.seats()).held == 1
        await bob.end()
        assert Ended("hang_up") in await rest(bob)
        ann = await engine.client.open(ANN, resume=ann.ready.resume)
        assert numbers(await say(ann)) == [1]
        await ann.end()
        assert Text(1, " hear") in await rest(ann)
        assert (engine.runner.lifted, engine.runner.restored) == ([0], [0])
        assert 'moshi_resumes_total{where="host"} 1.0' in await page(engine)


async def test_the_oldest_one_leaves_its_slot_first(start_engine: StartEngine) -> None:
    async with start_engine(slots=3) as engine:
        sessions = [await engine.client.open(ANN) for _ in range(3)]
        for session in sessions:
            await say(session)
        for number in (1, 0, 2):
            await lose(engine, sessions[number])
        for _ in range(2):
            await say(await engine.client.open(BOB))
        assert engine.runner.lifted == [1, 0]


async def test_callers_change_places_and_each_finds_its_own_conversation(start_engine: StartEngine) -> None:
    async with start_engine(slots=2, held_sessions=4) as engine:
        sessions = [await engine.client.open(SessionRequest(room=f"r{n}")) for n in range(2)]
        for frames, session in enumerate(sessions):
            await say(session, frames)
            await lose(engine, session)
        others = [await engine.client.open(SessionRequest(room=f"r{n}")) for n in (2, 3)]
        for frames, session in enumerate(others, start=2):
            await say(session, frames)
            await lose(engine, session)
        for frames, session in enumerate([*sessions, *others]):
            request = SessionRequest(room=f"r{frames}")
            again = await engine.client.open(request, resume=session.ready.resume)
            assert again.ready.frame == frames
            await say(again)
            await again.end()
            words = [event.piece for event in await rest(again) if isinstance(event, Text)]
            assert words == {1: [" hear"], 2: [" you"]}.get(frames, [])


async def test_who_is_away_keeps_the_seat_where_no_state_may_be_put_aside(start_engine: StartEngine) -> None:
    async with start_engine(slots=2, held_sessions=1) as engine:
        sessions = [await engine.client.open(ANN) for _ in range(2)]
        for session in sessions:
            await say(session)
            await lose(engine, session)
        seats = await engine.client.seats()
        assert (seats.in_calls, seats.held) == (1, 2)
        bob = await engine.client.open(BOB)
        with pytest.raises(EngineFull):
            await engine.client.open(BOB)
        again = await engine.client.open(ANN, resume=sessions[1].ready.resume)
        assert numbers(await say(again)) == [1]
        await bob.end()
        await rest(bob)
        assert (await engine.client.open(ANN, resume=sessions[0].ready.resume)).ready.frame == 1


async def test_a_pause_lets_another_in_and_the_first_sound_after_it_goes_on(
    start_engine: StartEngine,
) -> None:
    async with start_engine(slots=1) as engine:
        ann = await engine.client.open(ANN)
        await say(ann)
        await ann.pause()
        await held(engine.client, 1)
        bob = await engine.client.open(BOB)
        await say(bob, 3)
        await bob.end()
        await rest(bob)
        assert numbers(await say(ann)) == [1]
        await ann.end()
        assert await rest(ann) == [Text(1, " hear"), Ended("hang_up")]


async def test_a_pause_that_nobody_uses_costs_nothing(engine: RunningEngine) -> None:
    session = await engine.client.open(ANN)
    for frame in range(3):
        await session.pause()
        await session.pause()
        assert numbers(await say(session)) == [frame]
    assert (engine.runner.lifted, (await engine.client.seats()).held) == ([], 0)


async def test_who_comes_back_from_a_pause_to_a_full_engine_is_held(start_engine: StartEngine) -> None:
    async with start_engine(slots=1) as engine:
        ann = await engine.client.open(ANN)
        await say(ann)
        await ann.pause()
        await held(engine.client, 1)
        bob = await engine.client.open(BOB)
        await ann.send(FRAME)
        failure, ended = await rest(ann)
        assert isinstance(failure, Failure)
        assert (failure.code, ended) == ("engine_full", Ended("held"))
        await bob.end()
        await rest(bob)
        again = await engine.client.open(ANN, resume=ann.ready.resume)
        assert numbers(await say(again)) == [1]


async def test_who_waits_for_a_seat_is_held_for_as_long_as_they_ask_and_is_nobodys_to_claim(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    admin_socket = tmp_path / "admin"
    async with (
        start_engine(slots=1, grace_seconds=1.0, admin_socket=admin_socket) as engine,
        EngineAdmin(admin_socket) as admin,
    ):
        ann = await engine.client.open(ANN)
        await say(ann)
        await ann.close()
        await held(engine.client, 1)
        bob = await engine.client.open(BOB)
        for _ in range(8):
            with pytest.raises(EngineFull):
                await engine.client.open(ANN, resume=ann.ready.resume)
            await asyncio.sleep(0.2)
        with pytest.raises(AlreadyClaimed, match="waits for a seat"):
            await admin.claim(ann.ready.session)
        await bob.end()
        await rest(bob)
        again = await engine.client.open(ANN, resume=ann.ready.resume)
        assert numbers(await say(again)) == [1]


async def test_a_paused_caller_hangs_up_like_any_other(start_engine: StartEngine) -> None:
    async with start_engine(slots=1) as engine:
        ann = await engine.client.open(ANN)
        await say(ann)
        await ann.pause()
        await held(engine.client, 1)
        bob = await engine.client.open(BOB)
        await ann.end()
        assert await rest(ann) == [Ended("hang_up")]
        await say(bob)
        seats = await engine.client.seats()
        assert (seats.in_calls, seats.held) == (1, 0)


async def test_a_state_that_found_no_memory_ends_its_session_alone(start_engine: StartEngine) -> None:
    async with start_engine(slots=1) as engine:
        ann = await engine.client.open(ANN)
        await say(ann)
        await ann.pause()
        await held(engine.client, 1)
        engine.runner.no_memory = True
        bob = await engine.client.open(BOB)
        assert numbers(await say(bob)) == [0]
        failure, ended = await rest(ann)
        assert isinstance(failure, Failure)
        assert ("could not be kept" in failure.message, ended) == (True, Ended("error"))
        assert (await engine.client.seats()).held == 0


async def test_a_reserved_seat_is_for_who_comes_back_with_it(start_engine: StartEngine) -> None:
    async with start_engine(slots=1) as engine:
        ann = await engine.client.open(ANN)
        await lose(engine, ann)
        await engine.client.reserve("job-2")
        with pytest.raises(EngineFull):
            await engine.client.open(ANN, resume=ann.ready.resume)
        with_seat = SessionRequest(room=ANN.room, identity=ANN.identity, seat="job-2")
        assert (await engine.client.open(with_seat, resume=ann.ready.resume)).ready.session
        seats = await engine.client.seats()
        assert (seats.in_calls, seats.reserved) == (1, 0)


async def test_a_draining_engine_takes_its_own_callers_back_and_waits_for_nobody_else(
    start_engine: StartEngine,
) -> None:
    async with start_engine() as engine:
        ann, bob = await engine.client.open(ANN), await engine.client.open(BOB)
        await lose(engine, ann)
        engine.shutdown.request()
        await asyncio.sleep(0.2)
        again = await engine.client.open(ANN, resume=ann.ready.resume)
        await lose(engine, bob)
        assert numbers(await say(again)) == [0]
        with pytest.raises(EngineDraining):
            await engine.client.open(BOB)
        await again.end()
        await rest(again)
        assert await asyncio.wait_for(engine.served, 60) is True


@pytest.mark.parametrize("name", ["", "%ff", "a" * 513])
async def test_a_name_that_is_none_is_an_error_that_says_what_one_is(
    engine: RunningEngine, name: str
) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{engine.url}/v1/session", headers={"Moshi-Room": name})
    assert refused.value.status == 400


async def test_a_message_that_breaks_a_rule_leaves_nothing_to_come_back_to(engine: RunningEngine) -> None:
    session = await engine.client.open(ANN)
    await session.send(b"\0" * 300_000)
    with pytest.raises((EngineUnreachable, SessionError)):
        await rest(session)
    with pytest.raises(SessionGone):
        await engine.client.open(ANN, resume=session.ready.resume)
