"""What can be done with a telephone in a room: hang it up, put it through. LiveKit's API does it."""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

import aiohttp
from livekit import api, rtc
from livekit.protocol import sip as wire

from worker.phones.call_status import CALL_STATUS, HUNG_UP
from worker.phones.e164 import is_number

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
PEOPLE = (
    api.ParticipantInfo.Kind.STANDARD,
    api.ParticipantInfo.Kind.SIP,
    api.ParticipantInfo.Kind.CONNECTOR,
)
"""Whoever may be talking to somebody. Recorders are on the server's list, too."""


class Switchboard(Protocol):
    """Of one room."""

    async def hang_up(self, identity: str) -> None:
        """End the call of this telephone."""

    async def transfer(self, identity: str) -> None:
        """Put it through to where the settings say, and nowhere else. Where that fails, the call goes on."""


class NoSwitchboard:
    """Where there are no telephones."""

    async def hang_up(self, identity: str) -> None:
        """Nothing."""

    async def transfer(self, identity: str) -> None:
        """Nothing."""


class LiveKitSwitchboard:
    """transfer_to: a number, or a SIP address. livekit: makes the API when there is something to do.

    To make it reads the machine's certificates, for which a call that begins has no time.
    """

    def __init__(
        self, livekit: Callable[[], api.LiveKitAPI], room: str, call_id: str, transfer_to: str
    ) -> None:
        self._livekit = livekit
        self._room = room
        self._id = call_id
        self._to = f"tel:{transfer_to}" if is_number(transfer_to) else transfer_to

    async def hang_up(self, identity: str) -> None:
        """End the call of this telephone."""
        who = api.RoomParticipantIdentity(room=self._room, identity=identity)
        await _remove(self._livekit(), who, self._id)

    async def transfer(self, identity: str) -> None:
        """Put it through. The provider of its trunk has to allow that."""
        request = api.TransferSIPParticipantRequest(
            participant_identity=identity, room_name=self._room, transfer_to=self._to, play_dialtone=True
        )
        try:
            outcome = await self._livekit().sip.transfer_sip_participant(request)
        except (aiohttp.ClientError, api.ServerError, TimeoutError) as error:
            self._not_put_through(str(error))
            return
        # LiveKit answers a transfer that failed without an error, too.
        if outcome.status == wire.SIPTransferStatus.STS_TRANSFER_SUCCESSFUL:
            log.info("a telephone was put through", extra={"call": self._id})
        else:
            status, reason = wire.SIPTransferStatus.Name(outcome.status), outcome.reason
            self._not_put_through(f"{status} {wire.SIPTransferReason.Name(reason)}")

    def _not_put_through(self, detail: str) -> None:
        log.warning("a telephone was not put through", extra={"call": self._id, "detail": detail})


async def hang_up_those_left_in(room: rtc.Room, switchboard: Switchboard) -> None:
    """The agent is about to leave: whoever called by telephone would hear silence for ever.

    Where there is anybody else whom they may be talking to, their call is no business of ours.
    """
    left = list(room.remote_participants.values())
    if all(person.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP for person in left):
        for person in left:
            if person.attributes.get(CALL_STATUS) != HUNG_UP:
                await switchboard.hang_up(person.identity)


async def hang_up_those_alone_in(room: str, livekit: api.LiveKitAPI, call_id: str) -> None:
    """The same for a room whose agent is gone already."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            asked = api.ListParticipantsRequest(room=room)
            people = (await livekit.room.list_participants(asked)).participants
    except (aiohttp.ClientError, api.ServerError, TimeoutError) as error:
        log.warning("nobody knows who is left in a room", extra={"call": call_id, "detail": str(error)})
        return
    left = [person for person in people if person.kind in PEOPLE]
    if all(person.kind == api.ParticipantInfo.Kind.SIP for person in left):
        for person in left:
            await _remove(livekit, api.RoomParticipantIdentity(room=room, identity=person.identity), call_id)


async def _remove(livekit: api.LiveKitAPI, who: api.RoomParticipantIdentity, call_id: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await livekit.room.remove_participant(who)
    except (aiohttp.ClientError, api.ServerError, TimeoutError) as error:
        # Who is gone already is as good.
        if not (isinstance(error, api.ServerError) and error.status == HTTPStatus.NOT_FOUND):
            log.warning("a telephone could not be hung up", extra={"call": call_id, "detail": str(error)})
