"""Keys that are pressed in a call, and telephones that are hung up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from livekit import api, rtc
from livekit.protocol.sip import SIPTransferReason, SIPTransferStatus

from tests.worker.calls import tone
from tests.worker.fakes import FakePerson, FakeRoom, FakeSwitchboard
from tests.worker.waiting import until
from worker.phones.handset import Handset
from worker.phones.keypad import Keypad, Keys
from worker.phones.keys import parse_keys
from worker.phones.switchboard import LiveKitSwitchboard, hang_up_those_alone_in, hang_up_those_left_in

SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
PHONE = FakePerson("sip_1", SIP)


@dataclass
class Pressed:
    room: FakeRoom
    handset: Handset
    switchboard: FakeSwitchboard

    def press(self, key: str, person: FakePerson | None = PHONE) -> None:
        self.room.emit("sip_dtmf_received", SimpleNamespace(code=0, digit=key, participant=person))

    @property
    def is_heard(self) -> bool:
        return any(self.handset.heard(tone(1)))


@pytest.fixture
async def pressed() -> AsyncIterator[Pressed]:
    room, handset, switchboard = FakeRoom(PHONE), Handset(), FakeSwitchboard()
    keys = Keys(parse_keys("*=mute,#=hang_up,0=transfer"), switchboard)
    keypad = Keypad(cast(rtc.Room, room), keys, {PHONE.identity: handset}.get)
    running = asyncio.create_task(keypad.run())
    yield Pressed(room, handset, switchboard)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_key_mutes_until_it_is_pressed_again(pressed: Pressed) -> None:
    pressed.press("*")
    assert pressed.handset.is_muted
    pressed.press("*")
    assert not pressed.handset.is_muted


async def test_a_key_hangs_up_who_pressed_it(pressed: Pressed) -> None:
    pressed.press("#")
    await until(lambda: pressed.switchboard.hung_up == ["sip_1"])


async def test_who_is_put_through_is_not_heard_meanwhile_and_is_if_it_fails(pressed: Pressed) -> None:
    pressed.press("0")
    await until(lambda: pressed.switchboard.transferred == ["sip_1"])
    assert not pressed.is_heard
    pressed.switchboard.let_go.set()
    await until(lambda: pressed.is_heard)


async def test_mute_is_what_the_key_says_after_a_transfer_and_lets_nobody_be_heard_in_it(
    pressed: Pressed,
) -> None:
    pressed.press("0")
    await until(lambda: pressed.switchboard.transferred == ["sip_1"])
    pressed.press("*")
    assert not pressed.is_heard
    pressed.press("*")
    assert not pressed.is_heard
    pressed.press("*")
    pressed.switchboard.let_go.set()
    await until(lambda: not pressed.handset.is_put_through)
    assert not pressed.is_heard
    pressed.press("*")
    assert pressed.is_heard


async def test_who_is_put_through_can_hang_up_meanwhile_and_is_put_through_once(pressed: Pressed) -> None:
    for key in "00#":
        pressed.press(key)
    await until(lambda: pressed.switchboard.hung_up == ["sip_1"])
    assert pressed.switchboard.transferred == ["sip_1"]


async def test_other_keys_and_people_without_a_telephone_do_nothing(pressed: Pressed) -> None:
    pressed.press("7")
    pressed.press("#", FakePerson("ada"))
    pressed.press("#", None)
    pressed.press("*")
    await asyncio.sleep(0)
    assert not pressed.switchboard.hung_up
    assert pressed.handset.is_muted


@dataclass
class FakeApi:
    broken: bool = False
    outcome: api.TransferSIPParticipantResponse = field(
        default_factory=lambda: api.TransferSIPParticipantResponse(
            status=SIPTransferStatus.STS_TRANSFER_SUCCESSFUL
        )
    )
    removed: list[tuple[str, str]] = field(default_factory=list)
    transfers: list[api.TransferSIPParticipantRequest] = field(default_factory=list)
    people: list[api.ParticipantInfo] = field(default_factory=list)

    @property
    def room(self) -> "FakeApi":
        return self

    @property
    def sip(self) -> "FakeApi":
        return self

    async def list_participants(self, _asked: api.ListParticipantsRequest) -> api.ListParticipantsResponse:
        return api.ListParticipantsResponse(participants=self.people)

    async def remove_participant(self, who: api.RoomParticipantIdentity) -> None:
        if self.broken:
            raise api.ServerError("not_found", "gone", status=503)
        self.removed.append((who.room, who.identity))

    async def transfer_sip_participant(
        self, request: api.TransferSIPParticipantRequest
    ) -> api.TransferSIPParticipantResponse:
        if self.broken:
            raise api.SipCallError("unavailable", "no", status=503, metadata={"sip_status_code": "603"})
        self.transfers.append(request)
        return self.outcome


def switchboard(livekit: FakeApi, to: str = "+15550100") -> LiveKitSwitchboard:
    return LiveKitSwitchboard(lambda: cast(api.LiveKitAPI, livekit), "lobby", "AJ_1", to)


@pytest.mark.parametrize(
    ("to", "uri"), [("+15550100", "tel:+15550100"), ("sip:desk@example.org", "sip:desk@example.org")]
)
async def test_callers_are_put_through_to_where_the_settings_say(to: str, uri: str) -> None:
    livekit = FakeApi()
    await switchboard(livekit, to).transfer("sip_1")
    (request,) = livekit.transfers
    assert (request.room_name, request.participant_identity, request.transfer_to) == ("lobby", "sip_1", uri)


async def test_what_livekit_cannot_do_ends_no_call(caplog: pytest.LogCaptureFixture) -> None:
    broken = switchboard(FakeApi(broken=True))
    await broken.transfer("sip_1")
    await broken.hang_up("sip_1")
    assert [record.message for record in caplog.records] == [
        "a telephone was not put through",
        "a telephone could not be hung up",
    ]


async def test_a_transfer_that_fails_is_not_logged_as_done(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    declined = api.TransferSIPParticipantResponse(
        status=SIPTransferStatus.STS_TRANSFER_FAILED, reason=SIPTransferReason.STR_REJECTED
    )
    for livekit in (FakeApi(outcome=declined), FakeApi()):
        await switchboard(livekit).transfer("sip_1")
    failed, done = caplog.records
    assert (failed.message, failed.levelname) == ("a telephone was not put through", "WARNING")
    assert vars(failed)["detail"] == "STS_TRANSFER_FAILED STR_REJECTED"
    assert done.message == "a telephone was put through"


async def test_telephones_alone_in_a_room_are_hung_up() -> None:
    livekit = FakeApi()
    over = FakePerson("sip_2", SIP, attributes={"sip.callStatus": "hangup"})
    room = cast(rtc.Room, FakeRoom(PHONE, over))
    await hang_up_those_left_in(room, switchboard(livekit))
    assert livekit.removed == [("lobby", "sip_1")]


async def test_telephones_that_talk_to_somebody_else_are_left_alone() -> None:
    livekit = FakeApi()
    await hang_up_those_left_in(cast(rtc.Room, FakeRoom(PHONE, FakePerson("ada"))), switchboard(livekit))
    assert not livekit.removed


@pytest.mark.parametrize(
    ("kind", "removed"),
    [("EGRESS", True), ("INGRESS", True), ("AGENT", True), ("STANDARD", False), ("CONNECTOR", False)],
)
async def test_a_recorder_is_no_company_for_a_telephone_whose_agent_is_gone(kind: str, removed: bool) -> None:
    other = api.ParticipantInfo(identity="other", kind=kind)
    livekit = FakeApi(
        people=[api.ParticipantInfo(identity="sip_1", kind=api.ParticipantInfo.Kind.SIP), other]
    )
    await hang_up_those_alone_in("lobby", cast(api.LiveKitAPI, livekit), "AJ_1")
    assert livekit.removed == ([("lobby", "sip_1")] if removed else [])
