"""Calls to telephones, with LiveKit's API as far as they use it."""

from dataclasses import dataclass, field
from typing import cast

import aiohttp
import pytest
from livekit import api
from livekit.protocol.sip import SIPOutboundTrunkInfo

from engine.errors import EngineError, Refused, SettingError, UserError
from worker.caller.caller import NoAgent
from worker.phones import dial as dial_module
from worker.phones.bridge import NoBridge, NotAnswered, meaning
from worker.phones.dial import TooManyCalls, dial, may_be_dialled
from worker.phones.dialled import Dialled
from worker.settings import SipSettings

NUMBER = "+14155550100"


@dataclass
class FakeLiveKit:
    """`agent`: one comes to each room; `answer`: what becomes of a call, None: it is answered;
    `is_gone`: no room can be closed any more.
    """

    agent: bool = True
    answer: Exception | None = None
    is_gone: bool = False
    trunks: list[SIPOutboundTrunkInfo] = field(
        default_factory=lambda: [
            SIPOutboundTrunkInfo(sip_trunk_id="ST_other", name="another"),
            SIPOutboundTrunkInfo(sip_trunk_id="ST_1", name="moshi", numbers=["+14155550111"]),
        ]
    )
    rooms: list[api.CreateRoomRequest] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    called: list[api.CreateSIPParticipantRequest] = field(default_factory=list)

    @property
    def sip(self) -> "FakeLiveKit":
        return self

    @property
    def room(self) -> "FakeLiveKit":
        return self

    async def list_outbound_trunk(self, _: object) -> api.ListSIPOutboundTrunkResponse:
        return api.ListSIPOutboundTrunkResponse(items=self.trunks)

    async def update_outbound_trunk_fields(self, trunk_id: str, *, metadata: str) -> None:
        (trunk,) = (trunk for trunk in self.trunks if trunk.sip_trunk_id == trunk_id)
        trunk.metadata = metadata

    async def create_room(self, request: api.CreateRoomRequest) -> None:
        self.rooms.append(request)

    async def delete_room(self, request: api.DeleteRoomRequest) -> None:
        if self.is_gone:
            raise aiohttp.ClientConnectionError("connection refused")
        self.gone.append(request.room)

    async def list_participants(self, _: object) -> api.ListParticipantsResponse:
        agent = api.ParticipantInfo(kind=api.ParticipantInfo.Kind.AGENT)
        agent.tracks.add()
        return api.ListParticipantsResponse(participants=[agent] if self.agent else [])

    async def create_sip_participant(self, request: api.CreateSIPParticipantRequest) -> None:
        assert self.counted, "a call that is not counted before it rings may never be"
        self.called.append(request)
        if self.answer:
            raise self.answer

    @property
    def counted(self) -> int:
        return len(Dialled.read(self.trunks[1].metadata).at)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial_module, "AGENT_WITHIN_S", 0.05)
    monkeypatch.setattr(dial_module, "POLL_S", 0.01)


def settings(**more: object) -> SipSettings:
    given = {"livekit_agent_name": "moshi", "worker_dial_prefixes": "+1415,+4930", "worker_dial_per_hour": 2}
    return SipSettings.load(**given | more)


async def called(livekit: FakeLiveKit, number: str = NUMBER, now: float = 1000.0, **more: object) -> str:
    answered = await dial(number, settings(**more), cast(api.LiveKitAPI, livekit), lambda: now)
    return answered.room


async def test_an_agent_is_there_before_the_telephone_rings() -> None:
    livekit = FakeLiveKit()
    room = await called(livekit, worker_dial_seconds=90)
    (opened,), (call,) = livekit.rooms, livekit.called
    assert opened.name == room
    assert [agent.agent_name for agent in opened.agents] == ["moshi"]
    assert (call.sip_trunk_id, call.sip_call_to, call.room_name) == ("ST_1", NUMBER, room)
    assert call.hide_phone_number
    assert call.wait_until_answered
    assert call.max_call_duration.seconds == 90
    assert NUMBER not in room
    assert not livekit.gone


async def test_without_an_agent_nothing_rings_and_nothing_counts() -> None:
    livekit = FakeLiveKit(agent=False)
    with pytest.raises(NoAgent):
        await called(livekit)
    assert not livekit.called
    assert livekit.counted == 0
    assert livekit.gone == [livekit.rooms[0].name]


async def test_what_is_not_answered_leaves_no_room_and_counts() -> None:
    livekit = FakeLiveKit(answer=api.ServerError("unavailable", "no response from servers", status=503))
    with pytest.raises(api.ServerError):
        await called(livekit)
    assert livekit.gone == [livekit.rooms[0].name]
    assert livekit.counted == 1


async def test_a_server_that_is_gone_hides_no_answer() -> None:
    livekit = FakeLiveKit(answer=refusal(486, "Busy Here"), is_gone=True)
    with pytest.raises(api.SipCallError):
        await called(livekit)


@pytest.mark.parametrize("seconds", ["inf", "nan", "86401", "0"])
def test_a_call_lasts_from_a_second_to_a_day(seconds: str) -> None:
    with pytest.raises(SettingError, match=f"^WORKER_DIAL_SECONDS='?{seconds}'?: "):
        settings(worker_dial_seconds=seconds)


async def test_so_many_an_hour_and_no_more() -> None:
    livekit = FakeLiveKit()
    for now in (0.0, 600.0):
        await called(livekit, now=now)
    with pytest.raises(TooManyCalls, match="in 10 minutes"):
        await called(livekit, now=3000.0)
    assert len(livekit.rooms) == 2
    await called(livekit, now=3601.0)


async def test_only_a_trunk_of_this_agent_is_used() -> None:
    livekit = FakeLiveKit()
    with pytest.raises(SettingError, match="no outbound trunk called 'nobody'"):
        await called(livekit, livekit_agent_name="nobody")
    with pytest.raises(SettingError, match="LIVEKIT_AGENT_NAME is not set"):
        await called(livekit, livekit_agent_name="")
    livekit.trunks[0].name = "moshi"
    with pytest.raises(SettingError, match="which one is meant"):
        await called(livekit)


@pytest.mark.parametrize(
    ("number", "prefixes", "fault"),
    [
        ("4155550100", "+1415", "no telephone number"),
        (NUMBER, "", "nothing may be dialled"),
        ("+19005550100", "+1415", r"allows \+1415 alone"),
        ("+1415555", "+14155556", "may not be dialled"),
    ],
)
def test_what_may_not_be_dialled_is_refused(number: str, prefixes: str, fault: str) -> None:
    with pytest.raises(SettingError, match=fault):
        may_be_dialled(number, settings(worker_dial_prefixes=prefixes))


def refusal(code: int, status: str) -> api.SipCallError:
    details = {"sip_status_code": str(code), "sip_status": status}
    return api.SipCallError("unavailable", "failed", status=503, metadata=details)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refusal(486, "Busy Here"), NotAnswered, "busy (486 Busy Here)"),
        (refusal(480, "Temporarily Unavailable"), NotAnswered, "nobody answered"),
        (refusal(603, "Decline"), NotAnswered, "declined"),
        (refusal(500, "Oops"), NotAnswered, "did not come about"),
        (refusal(404, "Not Found"), SettingError, "no such number"),
        (refusal(403, "Forbidden"), SettingError, "WORKER_SIP_OUTBOUND_PASSWORD"),
        (
            api.ServerError("internal", "sip not connected (redis required)", status=500),
            SettingError,
            "no Redis",
        ),
        (api.ServerError("unavailable", "no response from servers", status=503), NoBridge, "no livekit-sip"),
        (api.ServerError("invalid_argument", "Conflicting", status=400), SettingError, "Conflicting"),
        (api.ServerError("internal", "boom", status=500), EngineError, "boom"),
    ],
)
def test_livekits_answers_say_what_to_do(
    answer: api.ServerError, kind: type[EngineError], words: str
) -> None:
    error = meaning(answer)
    assert type(error) is kind
    assert words in str(error)


def test_the_exit_code_tells_a_mistake_from_a_bad_moment() -> None:
    assert issubclass(SettingError, UserError)
    for moment in (NoBridge, NotAnswered, TooManyCalls, NoAgent):
        assert issubclass(moment, Refused)
