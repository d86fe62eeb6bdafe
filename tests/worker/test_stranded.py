"""Rooms that have lost their agent get it again, each of them one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import cast

import pytest
from livekit import api
from livekit.protocol.agent import Job, JobState
from livekit.protocol.agent_dispatch import AgentDispatchState
from livekit.protocol.models import Room

from tests.worker.waiting import until
from worker import dispatches
from worker import stranded as module
from worker.dispatches import read
from worker.stranded import LOOK_S, MOST_TIMES, ROOMS_AT_ONCE, SETTLED_S, STARTING_S, Stranded

AGENT = "moshi"
Kind = api.ParticipantInfo.Kind
LONG_AGO, NOW = 1_000.0, 1_000_000.0


@dataclass
class FakeServer:
    """LiveKit with these rooms, and who is in them. helpful: a dispatch brings an agent. Agents whose name
    begins so are ours. busy: so many dispatches are not taken. `asked`: what each room was asked for;
    `most`: how many questions were open at a time.
    """

    people: dict[str, dict[str, int]]
    dispatches: dict[str, list[api.AgentDispatch]] = field(default_factory=dict)
    helpful: bool = True
    busy: int = 0
    made: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    on_made: Callable[[], None] = lambda: None
    asked: list[tuple[str, str]] = field(default_factory=list)
    most: int = 0
    _open: int = 0

    def __post_init__(self) -> None:
        self.room = self.agent_dispatch = self
        for name in self.people:
            self.dispatches.setdefault(name, [dispatch()])

    async def list_rooms(self, _asked: api.ListRoomsRequest) -> api.ListRoomsResponse:
        rooms = [
            Room(name=name, sid=f"RM_{name}", num_participants=len(who)) for name, who in self.people.items()
        ]
        return api.ListRoomsResponse(rooms=rooms)

    async def list_participants(self, asked: api.ListParticipantsRequest) -> api.ListParticipantsResponse:
        await self._answering("people", asked.room)
        people = [
            api.ParticipantInfo(
                identity=name,
                kind=Kind.Name(kind),
                attributes={"moshi.model": "parrot"} if name.startswith("agent") else {},
            )
            for name, kind in self.people[asked.room].items()
        ]
        return api.ListParticipantsResponse(participants=people)

    async def remove_participant(self, who: api.RoomParticipantIdentity) -> None:
        self.removed.append(who.identity)

    async def list_dispatch(self, room: str) -> list[api.AgentDispatch]:
        # Who asks sees what is there now, and acts later.
        listed = list(self.dispatches[room])
        await self._answering("dispatches", room)
        return listed

    async def _answering(self, question: str, room: str) -> None:
        self.asked.append((question, room))
        self._open += 1
        self.most = max(self.most, self._open)
        await asyncio.sleep(0)
        self._open -= 1

    async def delete_dispatch(self, dispatch_id: str, room: str) -> None:
        left = [each for each in self.dispatches[room] if each.id != dispatch_id]
        if len(left) == len(self.dispatches[room]):
            raise api.ServerError("not_found", "dispatch ID not found", status=404)
        self.dispatches[room] = left

    async def create_dispatch(self, asked: api.CreateAgentDispatchRequest) -> api.AgentDispatch:
        if self.busy:
            self.busy -= 1
            raise api.ServerError("unavailable", "no response from servers", status=503)
        self.made.append(asked.room)
        made = dispatch(asked.agent_name, asked.metadata, name=f"AD_{len(self.made)}")
        self.dispatches[asked.room].append(made)
        if self.helpful:
            self.people[asked.room][f"agent-{len(self.made)}"] = Kind.AGENT
        self.on_made()
        return made


def dispatch(
    agent: str = AGENT, metadata: str = "", began_at: float = LONG_AGO, name: str = "AD_0"
) -> api.AgentDispatch:
    job = Job(id=f"AJ_of_{name}", state=JobState(started_at=round(1e9 * began_at)))
    state = AgentDispatchState(jobs=[job])
    return api.AgentDispatch(id=name, agent_name=agent, metadata=metadata, state=state)


class Watcher:
    """A worker that looks when it is told to, in a time of its own."""

    def __init__(self, server: FakeServer, free: int = 9, agent: str = AGENT) -> None:
        self.now = 0.0
        self._agent = agent
        self.free = free
        self.ours: set[str] = set()
        self.draining = False
        self.counted: list[str] = []
        self._livekit = cast(api.LiveKitAPI, server)
        self.stranded = Stranded(
            self.ours.__contains__,
            lambda: self.free,
            lambda: not self.draining,
            self.counted.append,
            lambda: self.now,
            lambda: datetime.fromtimestamp(NOW + self.now, UTC),
        )

    async def look(self, times: int = 1, after_s: float = SETTLED_S) -> None:
        for _ in range(times):
            await self.stranded.look(self._livekit, self._agent)
            self.now += after_s


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.001)
    monkeypatch.setattr(module, "AGENT_WITHIN_S", 0.05)
    monkeypatch.setattr(dispatches, "_AGAIN_S", 0.0)


async def test_a_room_without_its_agent_gets_one_as_it_was_asked_for_and_only_one() -> None:
    server = FakeServer({"lobby": {"ada": Kind.STANDARD}}, {"lobby": [dispatch(metadata="mine")]})
    watcher = Watcher(server)
    await watcher.look(5)
    assert server.made == ["lobby"]
    (given,) = server.dispatches["lobby"]
    assert read(given.metadata) == ("mine", True)
    assert watcher.counted == ["begun_anew"]


@pytest.mark.parametrize(
    ("people", "dispatches"),
    [
        ({"ada": Kind.STANDARD, "agent": Kind.AGENT}, [dispatch()]),
        ({}, [dispatch()]),
        ({"egress": Kind.EGRESS}, [dispatch()]),
        ({"ada": Kind.STANDARD}, [dispatch("another")]),
        ({"ada": Kind.STANDARD}, []),
    ],
    ids=["has one", "nobody there", "a recorder alone", "another agent's", "it is over"],
)
async def test_who_wants_no_agent_of_ours_gets_none(
    people: dict[str, int], dispatches: list[api.AgentDispatch]
) -> None:
    server = FakeServer({"lobby": people}, {"lobby": dispatches})
    await Watcher(server).look(5)
    assert server.made == []


async def test_nobody_who_is_on_the_way_is_overtaken() -> None:
    server = FakeServer({"lobby": {"ada": Kind.STANDARD}}, {"lobby": [dispatch(began_at=NOW - 1.0)]})
    watcher = Watcher(server)
    await watcher.look(round((STARTING_S - 2) / LOOK_S), LOOK_S)
    assert server.made == []
    await watcher.look(4)
    assert server.made == ["lobby"]


async def test_a_room_in_which_a_job_of_ours_is_about_to_be_is_left_to_it() -> None:
    server = FakeServer({"lobby": {"ada": Kind.STANDARD}})
    watcher = Watcher(server)
    watcher.ours.add("lobby")
    await watcher.look(5)
    assert server.made == []
    watcher.ours.clear()
    await watcher.look(2)
    assert server.made == ["lobby"]


async def test_several_workers_give_a_room_one_agent() -> None:
    server = FakeServer({f"room{number}": {"ada": Kind.STANDARD} for number in range(5)})
    watchers = [Watcher(server) for _ in range(4)]
    for _ in range(4):
        await asyncio.gather(*(watcher.look() for watcher in watchers))
    assert sorted(server.made) == sorted(server.people)


async def test_as_many_as_there_are_seats_get_one_and_the_others_as_soon_as_there_are_more() -> None:
    server = FakeServer({name: {"ada": Kind.STANDARD} for name in ("a", "b", "c")})
    watcher = Watcher(server, free=2)

    def take() -> None:
        watcher.free -= 1

    server.on_made = take
    await watcher.look(5)
    assert server.made == ["a", "b"]
    watcher.free = 1
    await watcher.look()
    assert server.made == ["a", "b", "c"]


async def test_a_worker_that_drains_gives_nobody_an_agent() -> None:
    server = FakeServer({"lobby": {"ada": Kind.STANDARD}})
    watcher = Watcher(server)
    watcher.draining = True
    await watcher.look(5)
    assert server.made == []


async def test_of_rooms_that_are_well_no_more_is_asked_than_it_takes() -> None:
    server = FakeServer(
        {
            "mine": {"ada": Kind.STANDARD},
            "empty": {},
            "well": {"ada": Kind.STANDARD, "agent": Kind.AGENT},
            "lonely": {"ada": Kind.STANDARD},
        }
    )
    watcher = Watcher(server)
    watcher.ours.add("mine")
    await watcher.look()
    assert server.asked == [("people", "well"), ("people", "lonely"), ("dispatches", "lonely")]
    server.asked.clear()
    watcher.draining = True
    await watcher.look()
    assert server.asked == []


async def test_hundreds_of_rooms_are_looked_into_a_few_at_a_time() -> None:
    rooms = {f"room{number}": {"ada": int(Kind.STANDARD), "agent": int(Kind.AGENT)} for number in range(300)}
    server = FakeServer(rooms)
    await Watcher(server).look()
    assert len(server.asked) == len(rooms)
    assert 1 < server.most <= ROOMS_AT_ONCE


async def test_an_agent_that_comes_back_by_itself_meanwhile_stays_alone() -> None:
    server = FakeServer({"lobby": {"ada": Kind.STANDARD}})
    server.on_made = lambda: server.people["lobby"].update(agent=Kind.AGENT)
    await Watcher(server).look(2)
    assert server.made == ["lobby"]
    assert server.dispatches["lobby"] == [], "with it goes the agent that it has brought"


async def test_one_that_comes_back_a_moment_later_stays_alone_too() -> None:
    server = FakeServer({"lobby": {"ada": Kind.STANDARD}})

    def come_back() -> None:
        asyncio.get_running_loop().call_later(0.01, lambda: server.people["lobby"].update(agent=Kind.AGENT))

    server.on_made = come_back
    await Watcher(server).look(2)
    assert server.dispatches["lobby"] == []


async def test_agents_of_others_are_none_of_ours() -> None:
    server = FakeServer({"lobby": {"ada": Kind.STANDARD, "scribe": Kind.AGENT}})
    await Watcher(server).look(5)
    assert server.made == ["lobby"]
    assert len(server.dispatches["lobby"]) == 1


async def test_without_a_name_only_rooms_that_have_had_an_agent_get_one() -> None:
    noted = api.AgentDispatch(id="AD_0", agent_name="")
    server = FakeServer(
        {"meeting": {"ada": Kind.STANDARD}, "call": {"bob": Kind.STANDARD}},
        {"meeting": [noted], "call": [dispatch("")]},
    )
    await Watcher(server, agent="").look(5)
    assert server.made == ["call"]


async def test_what_a_busy_server_does_not_take_is_asked_for_again() -> None:
    server = FakeServer({"lobby": {"ada": Kind.STANDARD}}, {"lobby": [dispatch(metadata="mine")]}, busy=7)
    await Watcher(server).look(6)
    assert server.made == ["lobby"]
    (given,) = server.dispatches["lobby"]
    assert read(given.metadata) == ("mine", True)


async def test_who_is_slower_than_another_worker_ends_no_telephone(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer({"lobby": {"sip_1": Kind.SIP}})
    other = [dispatch(name=f"AD_of_another_{number}") for number in range(40)]

    async def taken(_dispatch: str, room: str) -> None:
        server.dispatches[room] = [other.pop()]
        raise api.ServerError("not_found", "dispatch ID not found", status=404)

    monkeypatch.setattr(server, "delete_dispatch", taken)
    await Watcher(server).look(6 * MOST_TIMES)
    assert len(other) < 40 - MOST_TIMES
    assert server.removed == []


async def test_a_room_that_loses_every_agent_gets_no_more_and_its_telephone_hears_no_silence() -> None:
    server = FakeServer({"lobby": {"sip_1": Kind.SIP}}, helpful=False)
    watcher = Watcher(server)
    await watcher.look(4 * MOST_TIMES)
    assert len(server.made) == MOST_TIMES
    assert server.removed == ["sip_1"]
    server.asked.clear()
    await watcher.look()
    assert server.asked == []


async def test_it_looks_after_each_registration_and_then_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    server = FakeServer({})
    looks = 0
    list_rooms = server.list_rooms

    async def count(asked: api.ListRoomsRequest) -> api.ListRoomsResponse:
        nonlocal looks
        looks += 1
        watcher.now += 20.0
        if looks == 1:
            raise TimeoutError
        return await list_rooms(asked)

    monkeypatch.setattr(server, "list_rooms", count)

    def has_looked(times: int) -> bool:
        return looks == times

    watcher = Watcher(server)
    watching = asyncio.create_task(watcher.stranded.watch(cast(api.LiveKitAPI, server), AGENT))
    await asyncio.sleep(0.02)
    assert looks == 0
    for total in (3, 6):
        watcher.stranded.registered()
        await until(partial(has_looked, total))
        await asyncio.sleep(0.02)
        assert looks == total
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
