"""Lets a caller into a room of their own, once an agent is there: nobody sits in a silent room."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

import aiohttp
import jwt
from livekit import api

from engine.errors import SessionError
from engine.protocol import SessionRequest
from worker.conversation.session_parameters import to_metadata
from worker.room.grace import departure_timeout_s
from worker.settings import WorkerSettings
from worker.tokens import caller_token
from worker.web.refusals import AllSeatsTaken, NobodyAnswers, NoServer

AGENT_WITHIN_S = 2.0
POLL_S = 0.1
ATTEMPTS = 2
# A room that its caller never enters is closed after this time, and the agent's seat is free again.
UNCLAIMED_S = 20
_ROOM = re.compile(r"call-(?P<id>[0-9a-f]{32})(-[0-9a-f]{4})?")


@dataclass(frozen=True, slots=True)
class Offer:
    """A call that waits for its caller."""

    token: str
    room: str
    identity: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Who is called what, and where. Chosen here: a name of the caller's choice could be somebody else's."""

    room: str
    call_id: str

    @property
    def identity(self) -> str:
        return f"caller-{self.call_id}"


class Calls:
    """Opens rooms. `is_full` says whether the worker's own engine has no seat left."""

    def __init__(
        self, settings: WorkerSettings, livekit: api.LiveKitAPI, is_full: Callable[[], bool]
    ) -> None:
        self._settings = settings
        self._livekit = livekit
        self._is_full = is_full

    async def offer(self, wanted: SessionRequest, last_token: str | None) -> Offer:
        """A room with an agent that speaks as `wanted`, and the token for it.

        The holder of a token that was given here before keeps identity and room, and goes on in the
        conversation there if its agent still waits for them.

        Raises AllSeatsTaken, NobodyAnswers, NoServer, SessionError.
        """
        async with self._reaching():
            if last_token is None:
                call_id = secrets.token_hex(16)
                place = _Place(f"call-{call_id}", call_id)
            else:
                place = self._place_of(last_token)
                # An agent that was killed is on its way back.
                if await self._is_open(place.room) and await self._agent_comes(place.room):
                    return self._admit(place, wanted)
                await self._remove(place.room)
            for _ in range(ATTEMPTS):
                if await self._open(place.room, wanted):
                    return self._admit(place, wanted)
                await self._remove(place.room)
                if self._is_full():
                    raise AllSeatsTaken
                # Another name: an agent that comes too late must not come to the next attempt.
                place = _Place(f"call-{place.call_id}-{secrets.token_hex(2)}", place.call_id)
        raise NobodyAnswers

    async def _open(self, room: str, wanted: SessionRequest) -> bool:
        """Make a room with a dispatch; whether an agent has taken it in time."""
        await self._livekit.room.create_room(
            api.CreateRoomRequest(
                name=room,
                empty_timeout=UNCLAIMED_S,
                departure_timeout=departure_timeout_s(self._settings.worker_grace_seconds),
                agents=[self._dispatch(wanted)],
            )
        )
        return await self._agent_comes(room)

    def _dispatch(self, wanted: SessionRequest) -> api.RoomAgentDispatch:
        name = self._settings.livekit_agent_name
        return api.RoomAgentDispatch(agent_name=name, metadata=to_metadata(wanted))

    async def _agent_comes(self, room: str) -> bool:
        """Wait for an agent. The room's dispatch would tell, too, but once a minute seconds too late."""
        try:
            async with asyncio.timeout(AGENT_WITHIN_S):
                while True:
                    if any(_is_agent(person) for person in await self._people_in(room) or ()):
                        return True
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return False

    async def _is_open(self, room: str) -> bool:
        return await self._people_in(room) is not None

    async def _people_in(self, room: str) -> Sequence[api.ParticipantInfo] | None:
        """None where there is no such room."""
        try:
            asked = api.ListParticipantsRequest(room=room)
            return (await self._livekit.room.list_participants(asked)).participants
        except api.TwirpError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def _remove(self, room: str) -> None:
        # One that is gone already is as good.
        with suppress(api.TwirpError):
            await self._livekit.room.delete_room(api.DeleteRoomRequest(room=room))

    def _admit(self, place: _Place, wanted: SessionRequest) -> Offer:
        """Where LiveKit has forgotten the room, the token makes it anew, with the agent in it."""
        valid = timedelta(seconds=self._settings.worker_max_call_seconds)
        room = api.RoomConfiguration(
            empty_timeout=UNCLAIMED_S,
            departure_timeout=departure_timeout_s(self._settings.worker_grace_seconds),
            agents=[self._dispatch(wanted)],
        )
        token = caller_token(self._settings, place.room, place.identity).with_ttl(valid)
        return Offer(token.with_room_config(room).to_jwt(), place.room, place.identity)

    def _place_of(self, token: str) -> _Place:
        """The place that was given with this token. Raises SessionError if it was not given here, or is old.

        An app may sign tokens for other rooms with the same key: only the names tell ours.
        """
        verifier = api.TokenVerifier(
            self._settings.livekit_api_key, self._settings.livekit_api_secret.get_secret_value()
        )
        with suppress(jwt.InvalidTokenError, ValueError):
            claims = verifier.verify(token)
            named = _ROOM.fullmatch(claims.video.room) if claims.video else None
            if named is not None and claims.video is not None:
                place = _Place(claims.video.room, named["id"])
                if place.identity == claims.identity:
                    return place
        raise SessionError("call is no token that this endpoint gave, or it is too old: leave it out")

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[None]:
        try:
            yield
        except (aiohttp.ClientError, api.TwirpError, TimeoutError) as silence:
            raise NoServer from silence


def _is_agent(person: api.ParticipantInfo) -> bool:
    """Whether this is an agent whose sound can be heard."""
    return person.kind == api.ParticipantInfo.Kind.AGENT and person.state == api.ParticipantInfo.State.ACTIVE
