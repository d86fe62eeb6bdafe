import asyncio
import base64
import hashlib
from dataclasses import dataclass, field
from typing import cast

import pytest
from google.protobuf.json_format import MessageToJson
from livekit import api
from livekit.protocol.agent import JobStatus

from tests.worker.waiting import until
from tests.worker.web.conftest import KEY, SECRET, Open
from worker.web import phones as phones_module
from worker.web.phones import Phones
from worker.web.webhook import PATH

Kind = api.ParticipantInfo.Kind
ROOM, PHONE = "call-1", "sip_1"


@dataclass
class FakeRoom:
    """One room of a server, with what was dispatched to it. `helpful`: a dispatch brings an agent."""

    people: dict[str, int] = field(default_factory=lambda: {PHONE: Kind.SIP})
    dispatches: list[api.AgentDispatch] = field(default_factory=list)
    again: list[api.CreateAgentDispatchRequest] = field(default_factory=list)
    helpful: bool = False
    silent: bool = False

    @property
    def room(self) -> "FakeRoom":
        return self

    @property
    def agent_dispatch(self) -> "FakeRoom":
        return self

    async def list_participants(self, _asked: api.ListParticipantsRequest) -> api.ListParticipantsResponse:
        if self.silent:
            raise TimeoutError
        infos = [_person(name, kind) for name, kind in self.people.items()]
        return api.ListParticipantsResponse(participants=infos)

    async def remove_participant(self, who: api.RoomParticipantIdentity) -> None:
        del self.people[who.identity]

    async def list_dispatch(self, _room: str) -> list[api.AgentDispatch]:
        return self.dispatches

    async def delete_dispatch(self, dispatch_id: str, _room: str) -> None:
        self.dispatches = [each for each in self.dispatches if each.id != dispatch_id]

    async def create_dispatch(self, request: api.CreateAgentDispatchRequest) -> None:
        self.again.append(request)
        if self.helpful:
            self.people["agent"] = Kind.AGENT


def _person(identity: str, kind: int) -> api.ParticipantInfo:
    return api.ParticipantInfo(identity=identity, kind=Kind.Name(kind))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones_module, "AGENT_WITHIN_S", 0.05)
    monkeypatch.setattr(phones_module, "STARTING_WITHIN_S", 0.2)
    monkeypatch.setattr(phones_module, "POLL_S", 0.01)


async def looked_after(room: FakeRoom, agent_name: str = "moshi") -> list[str]:
    """Tell of the telephone, twice, and wait until nothing is to be done any more: what was counted."""
    counted: list[str] = []
    phones = Phones(agent_name, cast(api.LiveKitAPI, room), counted.append)
    phones.came(ROOM, PHONE)
    phones.came(ROOM, PHONE)
    await until(lambda: not phones._waiting)
    await phones.aclose()
    return counted


async def test_a_call_that_no_agent_takes_is_offered_again_as_it_was_and_then_hung_up() -> None:
    room = FakeRoom(dispatches=[api.AgentDispatch(agent_name="moshi", metadata="{}")])
    assert await looked_after(room) == ["offered_again", "hung_up"]
    (again,) = room.again
    assert (again.room, again.agent_name, again.metadata) == (ROOM, "moshi", "{}")
    assert not room.people


async def test_a_call_that_an_agent_takes_at_last_goes_on() -> None:
    room = FakeRoom(helpful=True)
    assert await looked_after(room, "") == ["offered_again"]
    assert len(room.again) == 1
    assert set(room.people) == {PHONE, "agent"}


async def test_who_waits_for_an_agent_that_is_on_its_way_does_not_get_a_second_one() -> None:
    room = FakeRoom(dispatches=[api.AgentDispatch(agent_name="moshi")])
    room.dispatches[0].state.jobs.add().state.status = JobStatus.JS_RUNNING
    looking = asyncio.create_task(looked_after(room))
    await asyncio.sleep(0.1)
    room.people["agent"] = Kind.AGENT
    assert await looking == []
    assert not room.again


async def test_an_agent_that_never_gets_there_is_replaced() -> None:
    room = FakeRoom(dispatches=[api.AgentDispatch(agent_name="moshi")], helpful=True)
    room.dispatches[0].state.jobs.add().state.status = JobStatus.JS_PENDING
    assert await looked_after(room) == ["offered_again"]


@pytest.mark.parametrize(
    ("room", "agent_name"),
    [
        (FakeRoom(people={PHONE: Kind.SIP, "agent": Kind.AGENT}), "moshi"),
        (FakeRoom(people={}), "moshi"),
        (FakeRoom(dispatches=[api.AgentDispatch(agent_name="another")]), "moshi"),
        (FakeRoom(dispatches=[api.AgentDispatch(agent_name="another")]), ""),
        (FakeRoom(), "moshi"),
        (FakeRoom(silent=True), "moshi"),
    ],
    ids=["an agent is there", "they have hung up", "for others", "for others alone", "for nobody", "silence"],
)
async def test_nothing_is_done_for_calls_that_are_not_ours_or_not_alone(
    room: FakeRoom, agent_name: str
) -> None:
    before = dict(room.people)
    await looked_after(room, agent_name)
    assert not room.again
    assert room.people == before


def signed(body: str, secret: str = SECRET) -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    return {"Authorization": api.AccessToken(KEY, secret).with_sha256(digest).to_jwt()}


def event(name: str = "participant_joined", kind: int = Kind.SIP) -> str:
    person = _person(PHONE, kind)
    return MessageToJson(api.WebhookEvent(event=name, room=api.Room(name=ROOM), participant=person))


@pytest.fixture
def came(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(Phones, "came", lambda _self, *who: seen.append(who))
    return seen


async def test_livekits_word_of_a_telephone_is_heard(open_web: Open, came: list[tuple[str, str]]) -> None:
    web = await open_web()
    for body in (event(), event("participant_left"), event(kind=Kind.STANDARD), event("room_started")):
        assert (await web.post(PATH, data=body, headers=signed(body))).status == 200
    assert came == [(ROOM, PHONE)]


async def test_what_livekit_has_not_signed_is_refused(open_web: Open, came: list[tuple[str, str]]) -> None:
    web = await open_web()
    body = event()
    other_key = signed(body, "another secret of a sufficient length")
    no_digest = {"Authorization": api.AccessToken(KEY, SECRET).to_jwt()}
    for headers in ({}, {"Authorization": "nonsense"}, other_key, signed("another body"), no_digest):
        answer = await web.post(PATH, data=body, headers=headers)
        assert answer.status == 401
        assert "LIVEKIT_API_KEY" in (await answer.json())["message"]
    assert not came


async def test_an_event_that_is_too_long_is_not_read(open_web: Open, came: list[tuple[str, str]]) -> None:
    body = "x" * 500_000
    assert (await (await open_web()).post(PATH, data=body, headers=signed(body))).status == 413
    assert not came
