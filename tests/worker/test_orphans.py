import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from aiohttp import WSMsgType, web
from livekit import api
from livekit.protocol.agent import Job
from livekit.protocol.agent_dispatch import AgentDispatchState
from livekit.protocol.models import Room

from engine.admin_protocol import ORPHANS_PATH, Claim, Orphan
from engine.errors import AlreadyClaimed, SessionGone
from engine.service.error_answers import errors_as_json
from tests.worker.waiting import until
from worker import orphans as orphans_module
from worker.orphans import Orphans
from worker.room.returning import Returning

AGENT = "moshi"


def orphan(session: str = "s1", room: str = "lobby", call: str = "AJ_1", left_s: float = 5.0) -> Orphan:
    return Orphan(session, room, f"agent-{call}", call, left_s)


def dispatch(agent: str = AGENT, metadata: str = "", *jobs: str) -> api.AgentDispatch:
    state = AgentDispatchState(jobs=[Job(id=job) for job in jobs])
    return api.AgentDispatch(agent_name=agent, metadata=metadata, state=state)


@dataclass
class FakeAdmin:
    """An engine that tells of these orphans, and gives each away once."""

    lost: list[Orphan]
    claimed: set[str] = field(default_factory=set)
    resumed: set[str] = field(default_factory=set)

    async def feed(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for each in self.lost:
            await socket.send_str(each.to_wire())
        while (await socket.receive()).type is WSMsgType.TEXT:
            pass
        return socket

    async def claim(self, request: web.Request) -> web.Response:
        session = request.match_info["session"]
        if session in self.resumed:
            raise SessionGone("no such session is held")
        if session in self.claimed:
            raise AlreadyClaimed("somebody else has claimed this session")
        self.claimed.add(session)
        return web.json_response(Claim(session, f"token of {session}", 15.0).to_wire())

    @asynccontextmanager
    async def serving(self, socket: Path) -> AsyncIterator[None]:
        app = web.Application(middlewares=[errors_as_json])
        app.add_routes(
            [web.get(ORPHANS_PATH, self.feed), web.post(ORPHANS_PATH + "/{session}/claim", self.claim)]
        )
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, socket).start()
        try:
            yield
        finally:
            await runner.cleanup()


class FakeLiveKit:
    """A server with these rooms, to each of which these agents were dispatched, and with these people."""

    def __init__(
        self,
        *names: str,
        dispatches: Sequence[api.AgentDispatch],
        people: Sequence[api.ParticipantInfo] = (),
    ) -> None:
        self.room = self.agent_dispatch = self
        self.removed: list[str] = []
        self._names = names
        self._dispatches = dispatches
        self._people = people

    async def list_participants(self, _asked: api.ListParticipantsRequest) -> api.ListParticipantsResponse:
        return api.ListParticipantsResponse(participants=self._people)

    async def remove_participant(self, who: api.RoomParticipantIdentity) -> None:
        self.removed.append(who.identity)

    async def list_dispatch(self, _room: str) -> list[api.AgentDispatch]:
        return list(self._dispatches)

    async def list_rooms(self, asked: api.ListRoomsRequest) -> api.ListRoomsResponse:
        return api.ListRoomsResponse(rooms=[Room(name=name) for name in asked.names if name in self._names])


class Worker:
    """Keeps the jobs that it is to start. `living`: agents of jobs that it has."""

    def __init__(self, socket: Path, living: Iterable[str] = (), *, fails: bool = False) -> None:
        self.jobs: list[tuple[str, str, Returning]] = []
        self.counted: list[str] = []
        self.living = set(living)
        self.draining = False
        self.removed: list[str] = []
        """Telephones that were hung up."""
        self._socket = socket
        self._fails = fails

    async def launch(self, room: Room, identity: str, returning: Returning) -> None:
        self.jobs.append((room.name, identity, returning))
        if self._fails:
            raise RuntimeError("no process became available")

    @asynccontextmanager
    async def watching(
        self,
        *rooms: str,
        dispatches: Sequence[api.AgentDispatch] = (dispatch(),),
        people: Sequence[api.ParticipantInfo] = (),
    ) -> AsyncIterator[None]:
        orphans = Orphans(
            self.launch,
            lambda _room, who: who in self.living,
            lambda: not self.draining,
            self.counted.append,
        )
        livekit = FakeLiveKit(*rooms, dispatches=dispatches, people=people)
        self.removed = livekit.removed
        task = asyncio.create_task(orphans.watch(self._socket, cast(api.LiveKitAPI, livekit), AGENT))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(orphans_module, "MOMENT_S", 0.05)
    monkeypatch.setattr(orphans_module, "POLL_S", 0.01)
    monkeypatch.setattr(orphans_module, "RETRY_S", 0.05)
    return tmp_path / "admin.sock"


async def test_a_lost_call_gets_a_job_in_its_room_under_its_name_with_its_session(socket: Path) -> None:
    worker = Worker(socket)
    async with FakeAdmin([orphan("s1", "lobby", "AJ_1")]).serving(socket), worker.watching("lobby"):
        await until(lambda: worker.jobs)
    assert worker.jobs == [("lobby", "agent-AJ_1", Returning("AJ_1", {"AJ_1": "token of s1"}))]
    assert worker.counted == ["brought_back"]


@pytest.mark.parametrize(
    ("dispatches", "metadata"),
    [
        ([dispatch(AGENT, "a", "AJ_0"), dispatch(AGENT, "b", "AJ_7", "AJ_1")], "b"),
        ([dispatch("another", "a"), dispatch(AGENT, "b")], "b"),
        ([dispatch(AGENT, "a", "AJ_0"), dispatch(AGENT, "b", "AJ_7")], ""),
    ],
    ids=["the one with its job", "the only one of our agent", "nobody knows which"],
)
async def test_a_lost_call_keeps_the_parameters_that_its_dispatch_gave_it(
    socket: Path, dispatches: list[api.AgentDispatch], metadata: str
) -> None:
    worker = Worker(socket)
    async with FakeAdmin([orphan()]).serving(socket), worker.watching("lobby", dispatches=dispatches):
        await until(lambda: worker.jobs)
    ((_, _, returning),) = worker.jobs
    assert returning.metadata == metadata


async def test_a_lost_call_goes_on_with_whom_its_job_listened_to(socket: Path) -> None:
    people = [
        api.ParticipantInfo(identity="ada"),
        api.ParticipantInfo(identity="agent-AJ_2", attributes={"moshi.caller": "bob"}),
        api.ParticipantInfo(identity="agent-AJ_1", attributes={"moshi.caller": "ada"}),
    ]
    worker = Worker(socket)
    async with FakeAdmin([orphan()]).serving(socket), worker.watching("lobby", people=people):
        await until(lambda: worker.jobs)
    ((_, _, returning),) = worker.jobs
    assert returning.caller == "ada"


async def test_each_call_is_brought_back_by_one_of_two_workers(socket: Path) -> None:
    lost = [orphan(f"s{number}", f"room{number}", f"AJ_{number}") for number in range(4)]
    one, other = Worker(socket), Worker(socket)
    rooms = [each.room for each in lost]
    async with FakeAdmin(lost).serving(socket), one.watching(*rooms), other.watching(*rooms):
        await until(lambda: len(one.jobs) + len(other.jobs) == len(lost))
        await asyncio.sleep(0.1)
    assert sorted(room for room, _, _ in one.jobs + other.jobs) == rooms


async def test_two_sessions_of_one_call_go_to_one_job(socket: Path) -> None:
    lost = [orphan("s1"), Orphan("s2", "lobby", "agent-AJ_1", "AJ_1.2", 5.0)]
    worker = Worker(socket)
    async with FakeAdmin(lost).serving(socket), worker.watching("lobby"):
        await until(lambda: worker.jobs)
    ((_, _, returning),) = worker.jobs
    assert returning == Returning("AJ_1", {"AJ_1": "token of s1", "AJ_1.2": "token of s2"})


async def test_a_job_that_brings_its_session_back_itself_keeps_it(socket: Path) -> None:
    worker = Worker(socket)
    admin = FakeAdmin([orphan("s1", "lobby", "AJ_1"), orphan("s2", "hall", "AJ_2")], resumed={"s1"})
    async with admin.serving(socket), worker.watching("lobby", "hall"):
        await until(lambda: worker.jobs)
        await asyncio.sleep(0.1)
    assert [room for room, _, _ in worker.jobs] == ["hall"]


async def test_a_job_of_our_own_that_lives_is_left_alone_until_it_is_gone(socket: Path) -> None:
    worker, admin = Worker(socket, living=["agent-AJ_1"]), FakeAdmin([orphan()])
    async with admin.serving(socket), worker.watching("lobby"):
        await asyncio.sleep(0.2)
        assert not admin.claimed
        worker.living.clear()
        await until(lambda: worker.jobs)


async def test_a_worker_that_drains_leaves_lost_calls_to_others(socket: Path) -> None:
    leaving, staying, admin = Worker(socket), Worker(socket), FakeAdmin([orphan()])
    leaving.draining = True
    async with admin.serving(socket), leaving.watching("lobby"):
        await asyncio.sleep(0.2)
        assert not admin.claimed
        async with staying.watching("lobby"):
            await until(lambda: staying.jobs)
    assert not leaving.jobs


@pytest.mark.parametrize(
    ("room", "dispatched"), [("hall", AGENT), ("lobby", "another")], ids=["closed", "dispatch deleted"]
)
async def test_nobody_goes_back_into_a_room_that_wants_no_agent(
    socket: Path, caplog: pytest.LogCaptureFixture, room: str, dispatched: str
) -> None:
    caplog.set_level("INFO")
    worker, admin = Worker(socket), FakeAdmin([orphan()])
    async with admin.serving(socket), worker.watching(room, dispatches=[dispatch(dispatched)]):
        await until(lambda: "nobody wants an agent" in caplog.text)
    assert not worker.jobs
    assert not admin.claimed
    assert worker.counted == ["over"]


async def test_a_lost_call_goes_on_where_a_server_has_forgotten_its_dispatch_and_still_shows_its_agent(
    socket: Path,
) -> None:
    worker, people = Worker(socket), [api.ParticipantInfo(identity="agent-AJ_1")]
    async with FakeAdmin([orphan()]).serving(socket), worker.watching("lobby", dispatches=(), people=people):
        await until(lambda: worker.counted == ["brought_back"])
    assert [job[:2] for job in worker.jobs] == [("lobby", "agent-AJ_1")]


async def test_a_job_that_cannot_be_started_costs_no_other_call(
    socket: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(socket, fails=True)
    lost = [orphan("s1", "lobby", "AJ_1"), orphan("s2", "hall", "AJ_2")]
    async with FakeAdmin(lost).serving(socket), worker.watching("lobby", "hall"):
        await until(lambda: len(worker.jobs) == 2)
        await until(lambda: caplog.text.count("got no job") == 2)
    assert worker.counted == ["failed", "failed"]


async def test_a_call_that_ends_every_job_gets_no_more_of_them_and_its_telephone_hears_no_silence(
    socket: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker, admin = Worker(socket), FakeAdmin([orphan()])
    phone = api.ParticipantInfo(identity="sip_1", kind=api.ParticipantInfo.Kind.SIP)
    killed = api.ParticipantInfo(identity="agent-AJ_1", kind=api.ParticipantInfo.Kind.AGENT)
    async with worker.watching("lobby", "hall", people=[phone, killed]):
        while "gets no more" not in caplog.text:
            admin.claimed.clear()
            async with admin.serving(socket):
                await asyncio.sleep(0.2)
        assert len(worker.jobs) == orphans_module.MOST_TIMES
        assert worker.counted[-1] == "given_up"
        await until(lambda: worker.removed == ["sip_1"])
        async with FakeAdmin([orphan("s2", "hall", "AJ_2")]).serving(socket):
            await until(lambda: worker.jobs[-1][0] == "hall")


async def test_an_engine_that_is_started_again_is_watched_again(
    socket: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(socket)
    async with worker.watching("lobby"):
        await asyncio.sleep(0.2)
        assert caplog.text.count("no word of lost calls") == 1
        async with FakeAdmin([orphan()]).serving(socket):
            await until(lambda: worker.jobs)


def test_what_a_job_is_told_is_not_what_a_room_says_of_itself() -> None:
    returning = Returning("AJ_1", {"AJ_1": "token"}, '{"moshi": {"seed": 7}}', "ada")
    room = returning.hidden_in(Room(name="lobby", departure_timeout=20))
    assert room.departure_timeout == 20
    assert Returning.told_to(Job(room=room)) == returning
    assert Returning.told_to(Job(room=room, dispatch_id="AD_1")) is None
    for metadata in ("", "7", "{}", "an app's own"):
        assert Returning.told_to(Job(room=Room(metadata=metadata))) is None
