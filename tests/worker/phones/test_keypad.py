"""Keys that are pressed in a call, and telephones that are hung up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from livekit import api, rtc

from tests.worker.fakes import FakePerson, FakeRoom
from tests.worker.waiting import until
from worker.phones.handset import Handset
from worker.phones.keypad import Keypad, Keys
from worker.phones.keys import parse_keys
from worker.phones.switchboard import LiveKitSwitchboard, hang_up_those_left_in

SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
PHONE = FakePerson("sip_1", SIP)


@dataclass
class FakeSwitchboard:
    """`busy`: nothing comes of a transfer until it is let go."""

    hung_up: list[str] = field(default_factory=list)
    transferred: list[str] = field(default_factory=list)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def hang_up(self, identity: str) -> None:
        self.hung_up.append(identity)

    async def transfer(self, identity: str) -> None:
        self.transferred.append(identity)
        await self.let_go.wait()


@dataclass
class Pressed:
    room: FakeRoom
    handset: Handset
    switchboard: FakeSwitchboard

    def press(self, key: str, person: FakePerson | None = PHONE) -> None:
        self.room.emit("sip_dtmf_received", SimpleNamespace(code=0, digit=key, participant=person))


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
    assert pressed.handset.is_muted
    pressed.switchboard.let_go.set()
    await until(lambda: not pressed.handset.is_muted)


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
    removed: list[tuple[str, str]] = field(default_factory=list)
    transfers: list[api.TransferSIPParticipantRequest] = field(default_factory=list)

    @property
    def room(self) -> "FakeApi":
        return self

    @property
    def sip(self) -> "FakeApi":
        return self

    async def remove_participant(self, who: api.RoomParticipantIdentity) -> None:
        if self.broken:
            raise api.ServerError("not_found", "gone", status=404)
        self.removed.append((who.room, who.identity))

    async def transfer_sip_participant(self, request: api.TransferSIPParticipantRequest) -> None:
        if self.broken:
            raise api.SipCallError("unavailable", "no", status=503, metadata={"sip_status_code": "603"})
        self.transfers.append(request)


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
