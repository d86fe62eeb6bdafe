"""Calls that go on at another engine.

The fake model's words count the frames that it has answered: " hear" comes with the second, " you" with the
third. So they tell whether a conversation went on or began anew.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import torch
from torch import Tensor

from engine.admin import EngineAdmin
from engine.admin_protocol import LiveSession, Orphan
from engine.client import EngineClient, EngineSession
from engine.empty import empty
from engine.errors import (
    EngineDraining,
    EngineFull,
    EngineUnreachable,
    NotMovable,
    SessionGone,
    SessionMoved,
    SettingError,
    SnapshotError,
    Unauthorized,
)
from engine.protocol import Audio, Ended, Event, Moved, SessionRequest, Text
from engine.service.peer import Peer
from engine.settings import EngineSettings
from engine.state.saved import SavedForm, SavedSession
from engine.state.slot_state import SlotState
from engine.state.snapshot import Snapshot
from tests.engine.service.conftest import RunningEngine, StartEngine

ANN = SessionRequest(room="the lobby / évora", identity="ann", seed=5, seat="AJ_1", follows=("rose", "lily"))
FRAME = b"\1\2" * 1920
TOKEN = "a-token-of-the-peers"
SESSION = "0123456789abcdef"


class Counts(SlotState):
    """What the fake model remembers of each session: one number."""

    def tensors(self) -> Iterator[Tensor]:
        yield torch.zeros(2, dtype=torch.int64)

    def reset(self, slots: Tensor) -> None:
        raise NotImplementedError


FORM = SavedForm("f" * 64, Counts())


@dataclass
class Fleet:
    """Two engines that know each other."""

    rose: RunningEngine
    lily: RunningEngine
    rose_admin: EngineAdmin
    lily_admin: EngineAdmin
    rose_socket: Path


StartFleet = Callable[..., AbstractAsyncContextManager[Fleet]]


@pytest.fixture
def start(start_engine: StartEngine, tmp_path: Path) -> StartFleet:
    @asynccontextmanager
    async def start(**of_lily: Any) -> AsyncIterator[Fleet]:
        async with AsyncExitStack() as until_the_end:
            # By Unix sockets, for both are named before either has a port.
            peers = ",".join(f"{name}=unix:{tmp_path}/{name}" for name in ("rose", "lily"))

            async def begin(name: str, **options: Any) -> tuple[RunningEngine, EngineAdmin]:
                ours = {"peers": peers, "peer_token": TOKEN, "form": FORM, "socket": tmp_path / name}
                admin = tmp_path / f"{name}.admin"
                engine = start_engine(admin_socket=admin, **(ours | options))
                return (
                    await until_the_end.enter_async_context(engine),
                    await until_the_end.enter_async_context(EngineAdmin(admin)),
                )

            rose, rose_admin = await begin("rose")
            lily, lily_admin = await begin("lily", **of_lily)
            yield Fleet(rose, lily, rose_admin, lily_admin, tmp_path / "rose.admin")

    return start


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


async def follow(engine: RunningEngine, session: EngineSession) -> EngineSession:
    *_, moved, ended = await rest(session)
    assert ended == Ended("moved")
    assert isinstance(moved, Moved)
    return await engine.client.open(ANN, resume=moved.resume)


async def in_calls(client: EngineClient, count: int) -> None:
    async with asyncio.timeout(60):
        while (await client.seats()).in_calls != count:
            await asyncio.sleep(0.01)


async def first_orphan(admin: EngineAdmin) -> Orphan:
    async for orphan in admin.orphans():
        return orphan
    raise AssertionError("the engine has ended")


async def test_a_call_that_has_arrived_and_that_nobody_fetches_is_told_to_be_lost(
    start: StartFleet,
) -> None:
    async with start(grace_seconds=2.0) as fleet:
        session = await fleet.rose.client.open(ANN)
        await say(session)
        watching = asyncio.create_task(first_orphan(fleet.lily_admin))
        await asyncio.sleep(0.1)
        await fleet.rose_admin.move(session.ready.session, "lily")
        async with asyncio.timeout(60):
            orphan = await watching
        assert (orphan.session, orphan.identity) == (session.ready.session, "ann")
        claim = await fleet.lily_admin.claim(orphan.session)
        again = await fleet.lily.client.open(ANN, resume=claim.resume)
        assert again.ready.frame == 1


async def test_a_call_goes_on_at_another_engine_where_it_was(start: StartFleet) -> None:
    async with start() as fleet:
        session = await fleet.rose.client.open(ANN)
        await say(session)
        gone = await fleet.rose_admin.move(session.ready.session, "lily")
        assert (gone.session, gone.to, gone.bytes) == (session.ready.session, "lily", 8)
        *_, moved, _ended = await rest(session)
        assert isinstance(moved, Moved)
        assert (moved.engine, moved.frame) == ("lily", 1)
        again = await fleet.lily.client.open(ANN, resume=moved.resume)
        assert (again.ready.session, again.ready.seed, again.ready.frame) == (session.ready.session, 5, 1)
        heard = await say(again, 2)
        assert numbers(heard) == [1, 2]
        await again.end()
        words = [event for event in heard + await rest(again) if isinstance(event, Text)]
        assert words == [Text(1, " hear"), Text(2, " you")]
        assert fleet.lily.runner.joined == []
        for engine in (fleet.rose, fleet.lily):
            await in_calls(engine.client, 0)


async def test_it_can_come_back_and_be_lost_and_found_as_any_other(start: StartFleet) -> None:
    async with start() as fleet:
        session = await fleet.rose.client.open(ANN)
        await say(session)
        await fleet.rose_admin.move(session.ready.session, "lily")
        session = await follow(fleet.lily, session)
        await say(session)
        await fleet.lily_admin.move(session.ready.session, "rose")
        session = await follow(fleet.rose, session)
        await session.close()
        again = await fleet.rose.client.open(ANN, resume=session.ready.resume)
        assert numbers(await say(again)) == [2]
        (listed,) = await fleet.rose_admin.sessions()
        assert listed == LiveSession(session.ready.session, ANN.room or "", "ann", True, ("rose", "lily"))


async def test_what_was_said_before_is_answered_and_what_is_said_meanwhile_is_for_the_other(
    start: StartFleet,
) -> None:
    async with start() as fleet:
        session = await fleet.rose.client.open(ANN)
        fleet.rose.runner.open_gate.clear()
        fleet.rose.runner.copied.clear()
        await session.send(2 * FRAME)
        assert await asyncio.to_thread(fleet.rose.runner.stepping.wait, 5)
        moving = asyncio.create_task(fleet.rose_admin.move(session.ready.session, "lily"))
        await asyncio.sleep(0.2)
        await session.send(3 * FRAME)
        fleet.rose.runner.open_gate.set()
        async with asyncio.timeout(60):
            while "lift" not in fleet.rose.runner.calls:
                await asyncio.sleep(0.01)
        fleet.rose.runner.copied.set()
        await moving
        *heard, moved, _ended = await rest(session)
        assert numbers(heard) == [0, 1]
        assert isinstance(moved, Moved)
        assert moved.frame == 2
        again = await fleet.lily.client.open(ANN, resume=moved.resume)
        assert numbers(await say(again, 3)) == [2, 3, 4]


async def test_a_call_that_cannot_leave_goes_on_and_has_lost_nothing(start: StartFleet) -> None:
    async with start(slots=1) as fleet:
        session = await fleet.rose.client.open(ANN)
        other = await fleet.lily.client.open(SessionRequest())
        with pytest.raises(EngineFull):
            await fleet.rose_admin.move(session.ready.session, "lily")
        assert numbers(await say(session, 2)) == [0, 1]
        await other.end()
        await in_calls(fleet.lily.client, 0)
        fleet.rose.runner.no_memory = True
        with pytest.raises(NotMovable, match="host memory"):
            await fleet.rose_admin.move(session.ready.session, "lily")
        assert numbers(await say(session)) == [2]
        fleet.rose.runner.no_memory = False
        await fleet.rose_admin.move(session.ready.session, "lily")
        assert numbers(await say(await follow(fleet.lily, session))) == [3]


async def test_what_is_said_during_a_move_that_fails_is_answered_here(
    start: StartFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending = asyncio.Event()

    async def fail(*_: object) -> None:
        sending.set()
        await asyncio.sleep(0.2)
        raise EngineUnreachable("gone")

    monkeypatch.setattr(Peer, "send", fail)
    async with start() as fleet:
        session = await fleet.rose.client.open(ANN)
        moving = asyncio.create_task(fleet.rose_admin.move(session.ready.session, "lily"))
        await sending.wait()
        await session.send(2 * FRAME)
        with pytest.raises(NotMovable, match="already"):
            await fleet.rose_admin.move(session.ready.session, "lily")
        with pytest.raises(Exception, match="gone"):
            await moving
        heard = [await anext(aiter(session)) for _ in range(2)]
        assert numbers(heard) == [0, 1]
        assert (await fleet.lily.client.seats()).reserved == 0


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"peer_token": "another-secret-of-them"}, Unauthorized),
        ({"form": replace(FORM, fingerprint="e" * 64)}, SnapshotError),
        ({"grace_seconds": 0}, SnapshotError),
    ],
)
async def test_an_engine_that_is_no_peer_in_truth_gets_no_call(
    start: StartFleet, options: dict[str, Any], refusal: type[Exception]
) -> None:
    async with start(**options) as fleet:
        session = await fleet.rose.client.open(ANN)
        with pytest.raises(refusal):
            await fleet.rose_admin.move(session.ready.session, "lily")
        with pytest.raises(refusal):
            await fleet.rose_admin.drain("lily")
        assert numbers(await say(session)) == [0]
        await fleet.rose.client.reserve("still-open")


async def test_only_who_follows_is_moved(start: StartFleet) -> None:
    async with start() as fleet:
        stays = await fleet.rose.client.open(SessionRequest())
        with pytest.raises(NotMovable, match="ENGINE_PEERS of its worker"):
            await fleet.rose_admin.move(stays.ready.session, "lily")
        with pytest.raises(NotMovable, match="names no engine 'tulip' here"):
            await fleet.rose_admin.move(stays.ready.session, "tulip")
        with pytest.raises(SessionGone):
            await fleet.rose_admin.move("nobody", "lily")
        lost = await fleet.rose.client.open(ANN)
        await lost.close()
        async with asyncio.timeout(60):
            while not (await fleet.rose.client.seats()).held:
                await asyncio.sleep(0.01)
        with pytest.raises(NotMovable, match="not there"):
            await fleet.rose_admin.move(lost.ready.session, "lily")
        assert numbers(await say(stays)) == [0]


async def test_who_hangs_up_while_moved_is_gone_from_both(
    start: StartFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, sending = Peer.send, asyncio.Event()

    async def slowly(peer: Peer, *arguments: Any) -> object:
        claim = await send(peer, *arguments)
        sending.set()
        await asyncio.sleep(0.2)
        return claim

    monkeypatch.setattr(Peer, "send", slowly)
    async with start() as fleet:
        session = await fleet.rose.client.open(ANN)
        moving = asyncio.create_task(fleet.rose_admin.move(session.ready.session, "lily"))
        await sending.wait()
        assert (await fleet.lily.client.seats()).in_calls == 1
        await session.end()
        assert await rest(session) == [Ended("hang_up")]
        with pytest.raises(SessionGone):
            await moving
        for engine in (fleet.rose, fleet.lily):
            await in_calls(engine.client, 0)


async def test_who_did_not_hear_that_it_was_moved_is_told_when_it_comes_back(start: StartFleet) -> None:
    async with start() as fleet:
        session = await fleet.rose.client.open(ANN)
        await say(session)
        await fleet.rose_admin.move(session.ready.session, "lily")
        with pytest.raises(SessionGone):
            await fleet.rose.client.open(replace(ANN, identity="eve"), resume=session.ready.resume)
        with pytest.raises(SessionMoved) as moved:
            await fleet.rose.client.open(ANN, resume=session.ready.resume)
        assert moved.value.engine == "lily"
        again = await fleet.lily.client.open(ANN, resume=moved.value.resume)
        assert numbers(await say(again)) == [1]


async def test_a_caller_who_is_away_in_host_memory_is_moved_too(start: StartFleet) -> None:
    async with start() as fleet:
        ann = await fleet.rose.client.open(ANN)
        await say(ann)
        await ann.pause()
        for _ in range(2):
            await say(await fleet.rose.client.open(SessionRequest()))
        assert fleet.rose.runner.lifted == [0]
        await fleet.rose_admin.move(ann.ready.session, "lily")
        assert fleet.rose.runner.lifted == [0]
        again = await follow(fleet.lily, ann)
        assert numbers(await say(again)) == [1]


async def test_a_call_whose_client_never_comes_is_over_after_its_grace_period(start: StartFleet) -> None:
    async with start(grace_seconds=0.3) as fleet:
        session = await fleet.rose.client.open(ANN)
        await fleet.rose_admin.move(session.ready.session, "lily")
        assert (await fleet.lily.client.seats()).in_calls == 1
        await in_calls(fleet.lily.client, 0)


async def test_an_engine_is_emptied_and_takes_no_new_calls(start: StartFleet) -> None:
    async with start(slots=3) as fleet:
        ann = await fleet.rose.client.open(ANN)
        lines = io.StringIO()
        with pytest.raises(NotMovable):
            await empty(fleet.rose_socket, "tulip", lines)
        bob = await fleet.rose.client.open(SessionRequest())
        assert await empty(fleet.rose_socket, "lily", lines) is False
        assert f"{ann.ready.session} moved to lily: 0.0 MiB in " in lines.getvalue()
        assert f"{bob.ready.session} stays: its client does not know an engine 'lily'" in lines.getvalue()
        with pytest.raises(EngineDraining):
            await fleet.rose.client.open(ANN)
        await bob.end()
        await rest(bob)
        assert await empty(fleet.rose_socket, "lily", lines) is True
        assert lines.getvalue().endswith("empty: the engine takes no new calls and can be stopped\n")
        fleet.rose.shutdown.request()
        assert await asyncio.wait_for(fleet.rose.served, 60)
        assert numbers(await say(await follow(fleet.lily, ann))) == [0]


async def test_emptying_waits_for_a_caller_who_is_away_for_a_moment(start: StartFleet) -> None:
    async with start() as fleet:
        ann = await fleet.rose.client.open(ANN)
        await say(ann)
        await ann.close()
        async with asyncio.timeout(60):
            while not (await fleet.rose.client.seats()).held:
                await asyncio.sleep(0.01)
        emptying = asyncio.create_task(empty(fleet.rose_socket, "lily", io.StringIO()))
        await asyncio.sleep(0.2)
        ann = await fleet.rose.client.open(ANN, resume=ann.ready.resume)
        assert await asyncio.wait_for(emptying, 60)
        assert numbers(await say(await follow(fleet.lily, ann))) == [1]


async def test_emptying_waits_for_a_call_that_was_promised_a_seat(start: StartFleet) -> None:
    async with start() as fleet:
        await fleet.rose.client.reserve("AJ_9", ttl_s=20)
        emptying = asyncio.create_task(empty(fleet.rose_socket, "lily", io.StringIO()))
        await asyncio.sleep(0.2)
        assert not emptying.done()
        ann = await fleet.rose.client.open(replace(ANN, seat="AJ_9"))
        assert await asyncio.wait_for(emptying, 60)
        await follow(fleet.lily, ann)


async def test_a_session_that_finds_no_memory_at_the_other_engine_goes_on_where_it_is(
    start: StartFleet,
) -> None:
    async with start() as fleet:
        ann = await fleet.rose.client.open(ANN)
        await say(ann)
        fleet.lily.runner.no_memory = True
        with pytest.raises(SnapshotError, match="could not be put into a slot"):
            await fleet.rose_admin.move(ann.ready.session, "lily")
        assert numbers(await say(ann)) == [1]
        await in_calls(fleet.lily.client, 0)


async def test_a_client_that_comes_back_in_mid_move_without_knowing_the_engine_is_not_sent_there(
    start: StartFleet,
) -> None:
    async with start() as fleet:
        ann = await fleet.rose.client.open(ANN)
        await say(ann)
        fleet.rose.runner.copied.clear()
        moving = asyncio.create_task(fleet.rose_admin.move(ann.ready.session, "lily"))
        async with asyncio.timeout(60):
            while not fleet.rose.runner.lifted:
                await asyncio.sleep(0.01)
        again = await fleet.rose.client.open(replace(ANN, follows=()), resume=ann.ready.resume)
        fleet.rose.runner.copied.set()
        with pytest.raises(NotMovable, match="does not know"):
            await moving
        assert numbers(await say(again)) == [1]


async def test_a_peer_withdraws_no_session_that_it_did_not_bring(start: StartFleet) -> None:
    async with start() as fleet:
        ann = await fleet.lily.client.open(ANN)
        await say(ann)
        await ann.close()
        async with asyncio.timeout(60):
            while not (await fleet.lily.client.seats()).held:
                await asyncio.sleep(0.01)
        peer = Peer(fleet.lily.url, TOKEN)
        await peer.withdraw(ann.ready.session)
        await peer.close()
        again = await fleet.lily.client.open(ANN, resume=ann.ready.resume)
        assert numbers(await say(again)) == [1]


def saved(form: SavedForm = FORM, **facts: object) -> bytes:
    """As a peer sends it."""
    told = {"room": None, "identity": None, "seat": None, "seed": 1, "frames": 2} | facts
    return b"".join(form.save(SavedSession(Snapshot((torch.tensor(2),)), told)))


async def test_a_session_has_to_be_announced_before_it_is_read(start: StartFleet) -> None:
    async with start() as fleet:
        peer = Peer(fleet.lily.url, TOKEN)
        with pytest.raises(SnapshotError, match="announce"):
            await peer.send(SESSION, iter([saved()]))
        await peer.announce(SESSION, FORM.fingerprint)
        assert (await fleet.lily.client.seats()).reserved == 1
        claim = await peer.send(SESSION, iter([saved()]))
        again = await fleet.lily.client.open(SessionRequest(), resume=claim.resume)
        assert numbers(await say(again)) == [2]
        with pytest.raises(SnapshotError, match="here already"):
            await peer.announce(SESSION, FORM.fingerprint)
        with pytest.raises(SnapshotError, match="no session's id"):
            await peer.announce("../x", FORM.fingerprint)
        await peer.withdraw(SESSION)
        assert numbers(await say(again)) == [3], "only what nobody has fetched is withdrawn"
        await peer.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0" * 100_000,
        saved()[:-1],
        saved()[:40] + b"\xff" * 60,
        saved(replace(FORM, fingerprint="0" * 64)),
        saved(seed=-1),
        saved(frames=1 << 32),
        saved(frames=True),
        saved(room=["lobby"]),
    ],
)
async def test_bytes_that_are_no_session_cost_nobody_anything(start: StartFleet, body: bytes) -> None:
    async with start() as fleet:
        other = await fleet.lily.client.open(SessionRequest())
        peer = Peer(fleet.lily.url, TOKEN)
        await peer.announce(SESSION, FORM.fingerprint)
        with pytest.raises((SnapshotError, EngineUnreachable)):
            await peer.send(SESSION, iter([body]))
        await peer.withdraw(SESSION)
        assert numbers(await say(other)) == [0]
        seats = await fleet.lily.client.seats()
        assert (seats.in_calls, seats.reserved) == (1, 0)
        await peer.close()


async def test_the_token_of_clients_brings_no_session_and_that_of_peers_opens_none(
    start: StartFleet,
) -> None:
    clients = "a-token-of-the-clients"
    async with start(token=clients) as fleet, aiohttp.ClientSession() as http:
        for token in (clients, "", "x"):
            stranger = Peer(fleet.lily.url, token)
            with pytest.raises(Unauthorized, match="ENGINE_PEER_TOKEN"):
                await stranger.announce(SESSION, FORM.fingerprint)
            await stranger.close()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with http.get(f"{fleet.lily.http}/v1/seats", headers=headers) as answer:
            assert answer.status == 401


async def test_an_engine_without_a_token_of_peers_has_no_such_routes(start_engine: StartEngine) -> None:
    async with start_engine(form=FORM) as engine, aiohttp.ClientSession() as http:
        assert (await http.post(f"{engine.http}/v1/arrivals", json={})).status == 404
        assert (await http.put(f"{engine.http}/v1/arrivals/{SESSION}", data=b"")).status == 404


@pytest.mark.parametrize(
    ("peers", "told"),
    [
        ("rose", "give name=url"),
        ("rose=", "give name=url"),
        ("ro se=ws://h:1", "give name=url"),
        ("rose=ws://h:1,rose=ws://h:2", "give name=url of each engine once"),
        ("rose=http://h:1", "not an address"),
        ("rose=ws://h:1", "ENGINE_PEER_TOKEN"),
    ],
)
def test_peers_that_cannot_be_are_told_so_before_anything_starts(peers: str, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        EngineSettings.load(peers=peers)
