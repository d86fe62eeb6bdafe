"""`worker sip call`: a call to a telephone, with an agent in the room before it rings."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from livekit import api
from livekit.protocol import sip as wire

from engine.errors import Refused, SettingError
from worker.caller.caller import NoAgent
from worker.phones.dialled import Dialled
from worker.phones.e164 import begins_with_one_of, checked_number, split
from worker.phones.setup import Setup
from worker.settings import DialSettings, SipSettings

AGENT_WITHIN_S = 10.0
POLL_S = 0.2
RINGING_S = 45
# A room that is never called from is closed after this time, and the agent's seat is free again.
UNCLAIMED_S = 30
IDENTITY = "phone"


class TooManyCalls(Refused):
    """As many were dialled in this hour as may be."""

    def __init__(self, per_hour: int, wait_s: float) -> None:
        super().__init__(
            f"{per_hour} calls were dialled within an hour, and WORKER_DIAL_PER_HOUR allows no more: the "
            f"next one in {wait_s / 60:.0f} minutes"
        )


@dataclass(frozen=True, slots=True)
class Answered:
    """Somebody took the call: it goes on in this room."""

    room: str


def may_be_dialled(number: str, settings: DialSettings) -> None:
    """Raises SettingError for what is no number, or none that is allowed."""
    try:
        checked_number(number)
    except ValueError as fault:
        raise SettingError(str(fault)) from None
    prefixes = split(settings.worker_dial_prefixes)
    if not prefixes:
        raise SettingError(
            "nothing may be dialled: set WORKER_DIAL_PREFIXES to how the numbers begin that may, as in "
            "+1415,+4930"
        )
    if not begins_with_one_of(number, prefixes):
        raise SettingError(
            f"this number may not be dialled: WORKER_DIAL_PREFIXES allows {', '.join(prefixes)} alone"
        )


def _now() -> float:
    return datetime.now(UTC).timestamp()


async def dial(
    number: str, settings: SipSettings, livekit: api.LiveKitAPI, clock: Callable[[], float] = _now
) -> Answered:
    """Open a room, wait for an agent in it, and let the telephone ring until somebody answers.

    Raises SettingError, TooManyCalls, NoAgent, and what `bridge.livekit_sip` does. The room is gone then.
    """
    may_be_dialled(number, settings)
    trunk = await Setup(settings, livekit).outbound()
    if trunk is None:
        raise SettingError(
            f"there is no outbound trunk called {settings.livekit_agent_name!r}: make one with "
            "`python -m worker sip setup`"
        )
    _count(trunk, settings, clock)
    async with _room_with_agent(settings, livekit) as room:
        # Once more: others may have dialled while we waited.
        trunk = await Setup(settings, livekit).outbound() or trunk
        dialled = _count(trunk, settings, clock)
        await livekit.sip.update_outbound_trunk_fields(trunk.sip_trunk_id, metadata=dialled.written())
        await livekit.sip.create_sip_participant(_request(number, trunk, room, settings))
    return Answered(room)


def _count(trunk: wire.SIPOutboundTrunkInfo, settings: DialSettings, clock: Callable[[], float]) -> Dialled:
    dialled, now = Dialled.read(trunk.metadata), clock()
    wait_s = dialled.wait_s(now, settings.worker_dial_per_hour)
    if wait_s > 0:
        raise TooManyCalls(settings.worker_dial_per_hour, wait_s)
    return dialled.with_one(now)


def _request(
    number: str, trunk: wire.SIPOutboundTrunkInfo, room: str, settings: DialSettings
) -> api.CreateSIPParticipantRequest:
    request = api.CreateSIPParticipantRequest(
        sip_trunk_id=trunk.sip_trunk_id,
        sip_call_to=number,
        room_name=room,
        participant_identity=IDENTITY,
        hide_phone_number=True,
        wait_until_answered=True,
    )
    request.ringing_timeout.FromSeconds(RINGING_S)
    # By livekit-sip, whatever becomes of the worker.
    request.max_call_duration.FromSeconds(round(settings.worker_dial_seconds))
    return request


@asynccontextmanager
async def _room_with_agent(settings: SipSettings, livekit: api.LiveKitAPI) -> AsyncIterator[str]:
    """A room that stays if the block is left as it should be."""
    room = f"phone-{secrets.token_hex(8)}"
    dispatch = api.RoomAgentDispatch(agent_name=settings.livekit_agent_name)
    await livekit.room.create_room(
        api.CreateRoomRequest(name=room, empty_timeout=UNCLAIMED_S, agents=[dispatch])
    )
    try:
        await _agent_in(room, livekit)
        yield room
    except BaseException:
        # Ours, and with it whatever rings because of it.
        with suppress(aiohttp.ClientError, api.ServerError, TimeoutError):
            await livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        raise


async def _agent_in(room: str, livekit: api.LiveKitAPI) -> None:
    try:
        async with asyncio.timeout(AGENT_WITHIN_S):
            while True:
                there = await livekit.room.list_participants(api.ListParticipantsRequest(room=room))
                if any(_can_be_heard(person) for person in there.participants):
                    return
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise NoAgent(AGENT_WITHIN_S) from None


def _can_be_heard(person: api.ParticipantInfo) -> bool:
    return person.kind == api.ParticipantInfo.Kind.AGENT and len(person.tracks) > 0
