"""Rooms whose agent is gone, and will not come back by itself: they get another one, with a new conversation.

A call that loses its job is brought back by worker/orphans.py for as long as its engine holds it. After that,
or where the engine went with it, nobody comes: neither a worker that was started late nor one that finds a
LiveKit server again is sent to calls that were on before. So it looks for them itself.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from livekit import api
from livekit.protocol.models import Room

from engine.errors import SettingError
from worker.dispatches import dispatch, dispatch_again, saying_anew
from worker.phones.switchboard import PEOPLE, hang_up_those_alone_in
from worker.settings import WorkerSettings

log = logging.getLogger(__name__)

LOOK_S = 5.0
WATCH_S = 60.0
"""For so long after LiveKit is found: callers find it again after us, their clients try for 45 s."""
SETTLED_S = 5.0
"""A room in which nothing has changed for so long waits for nobody who is on the way."""
STARTING_S = 15.0
"""For a job that was accepted and is not there yet: a second one would take a second seat."""
AGENT_WITHIN_S = 5.0
POLL_S = 0.2
ROOMS_AT_ONCE = 8
"""Of so many LiveKit is asked at the same time who is there."""
MOST_TIMES = 5
WITHIN_S = 600.0
"""A room that has been given so many agents in that time ends them, and gets no more."""
DISPATCHED = "begun_anew"
_UNHEARD = (aiohttp.ClientError, api.ServerError, TimeoutError)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A room without an agent: what was dispatched to it, and since when nothing has changed there."""

    dispatches: frozenset[str]
    since: float


class Stranded:
    """Watches the rooms of a LiveKit server for a while after each registration with it.

    `is_ours` says of a room's name whether a job of this worker is there or about to be, `free` how many
    seats the engine has left, `stays` whether this worker takes calls at all. Several workers may watch: one
    of them gives a room its agent. `count` is told of each that was given one, DISPATCHED.
    """

    def __init__(
        self,
        is_ours: Callable[[str], bool],
        free: Callable[[], int],
        stays: Callable[[], bool],
        count: Callable[[str], None] = lambda _result: None,
        clock: Callable[[], float] = time.monotonic,
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._is_ours = is_ours
        self._free = free
        self._stays = stays
        self._count = count
        self._clock = clock
        self._utc = utc
        self._found = asyncio.Event()
        self._waiting: dict[str, _Waiting] = {}
        self._given: dict[str, list[float]] = {}
        self._given_up: set[str] = set()
        self._owed: dict[str, str] = {}
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with the server that the environment names."""
        with suppress(SettingError):
            self._watching = asyncio.create_task(self._watch(WorkerSettings.load()))

    def registered(self, *_: object) -> None:
        """LiveKit was found, for the first time or again."""
        self._found.set()

    async def stop(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self, settings: WorkerSettings) -> None:
        secret = settings.livekit_api_secret.get_secret_value()
        async with api.LiveKitAPI(settings.livekit_url, settings.livekit_api_key, secret) as livekit:
            await self.watch(livekit, settings.livekit_agent_name)

    async def watch(self, livekit: api.LiveKitAPI, agent_name: str) -> None:
        """Give stranded rooms their agent, until cancelled. agent_name: by which agents are dispatched."""
        until = 0.0
        while True:
            # Who found no seat is waited for: it is given one as soon as one is free.
            if self._clock() >= until and not self._waiting:
                await self._found.wait()
            if self._found.is_set():
                self._found.clear()
                until = self._clock() + WATCH_S
            try:
                await self.look(livekit, agent_name)
            except _UNHEARD as error:
                log.warning("LiveKit does not say who is without an agent", extra={"detail": str(error)})
            except Exception:
                # Nobody would see that no one looks any more.
                log.exception("the look for rooms without an agent failed")
            await asyncio.sleep(LOOK_S)

    async def look(self, livekit: api.LiveKitAPI, agent_name: str) -> None:
        """Look once, unless this worker takes no calls. Raises ServerError, ClientError, TimeoutError."""
        if not self._stays():
            self._waiting.clear()
            return
        rooms = (await livekit.room.list_rooms(api.ListRoomsRequest())).rooms
        here = {room.sid for room in rooms}
        self._waiting = {sid: waiting for sid, waiting in self._waiting.items() if sid in here}
        self._given = {sid: times for sid, times in self._given.items() if sid in here}
        self._owed = {sid: metadata for sid, metadata in self._owed.items() if sid in here}
        self._given_up &= here
        asking = asyncio.Semaphore(ROOMS_AT_ONCE)
        found = await asyncio.gather(*(self._to_give(livekit, room, agent_name, asking) for room in rooms))
        ready = [(room, ours) for room, ours in zip(rooms, found, strict=True) if ours is not None]
        seated = ready[: max(0, self._free())]
        await asyncio.gather(*(self._give(livekit, room, agent_name, ours) for room, ours in seated))

    async def _to_give(
        self, livekit: api.LiveKitAPI, room: Room, agent_name: str, asking: asyncio.Semaphore
    ) -> list[api.AgentDispatch] | None:
        """What of our agent was dispatched to this room, if it is to get another one now."""
        try:
            async with asking:
                ours = await self._lacking(livekit, room, agent_name)
        except _UNHEARD as error:
            log.warning("LiveKit does not say who is in a room", extra={"detail": str(error)})
            return None
        if ours is None:
            self._waiting.pop(room.sid, None)
            return None
        return ours if self._is_settled(room.sid, ours) else None

    async def _lacking(
        self, livekit: api.LiveKitAPI, room: Room, agent_name: str
    ) -> list[api.AgentDispatch] | None:
        """What of our agent was dispatched to this room, if somebody is there and no agent of ours.

        LiveKit is asked no more than it takes: most rooms are well, and there may be hundreds.
        """
        if not room.num_participants or self._is_ours(room.name) or room.sid in self._given_up:
            return None
        people = await _people_in(livekit, room.name)
        if not any(each.kind in PEOPLE for each in people) or _agents(people, ()):
            return None
        try:
            dispatches = await livekit.agent_dispatch.list_dispatch(room.name)
        except api.ServerError:
            # It was closed meanwhile.
            return None
        ours = [each for each in dispatches if each.agent_name == agent_name]
        if not agent_name:
            # LiveKit notes one in every room, also where there never was a worker.
            ours = [each for each in ours if each.state.jobs]
        if _agents(people, ours) or not (ours or room.sid in self._owed):
            return None
        return sorted(ours, key=lambda each: each.id)

    def _is_settled(self, sid: str, ours: Iterable[api.AgentDispatch]) -> bool:
        """Whether nobody is on the way."""
        now, wall_now = self._clock(), self._utc().timestamp()
        began_at = [job.state.started_at / 1e9 for each in ours for job in each.state.jobs]
        is_coming = any(abs(wall_now - at) < STARTING_S for at in began_at)
        dispatches = frozenset(each.id for each in ours)
        before = self._waiting.get(sid)
        if before is None or before.dispatches != dispatches or is_coming:
            self._waiting[sid] = _Waiting(dispatches, now)
            return False
        return now - before.since >= SETTLED_S

    async def _give(
        self, livekit: api.LiveKitAPI, room: Room, agent_name: str, ours: list[api.AgentDispatch]
    ) -> None:
        now = self._clock()
        recent = [at for at in self._given.get(room.sid, ()) if now - at < WITHIN_S]
        if len(recent) >= MOST_TIMES:
            self._given_up.add(room.sid)
            log.error("a room loses every agent that it gets, and gets no more")
            await hang_up_those_alone_in(room.name, livekit, "")
            return
        try:
            given = await self._dispatch(livekit, room, agent_name, ours)
        except _UNHEARD as error:
            log.warning("a room without its agent gets none yet", extra={"detail": str(error)})
            return
        if given is None:
            return
        self._given[room.sid] = [*recent, now]
        log.warning("a room without its agent gets one again, with a new conversation")
        self._count(DISPATCHED)
        for _ in range(round(AGENT_WITHIN_S / POLL_S)):
            await asyncio.sleep(POLL_S)
            if len(_agents(await _people_in(livekit, room.name), [*ours, given])) > 1:
                # The one of before has found its way back, and has the conversation.
                with suppress(api.ServerError):
                    await livekit.agent_dispatch.delete_dispatch(given.id, room.name)
                return

    async def _dispatch(
        self, livekit: api.LiveKitAPI, room: Room, agent_name: str, ours: list[api.AgentDispatch]
    ) -> api.AgentDispatch | None:
        if ours:
            # If none is made in its place, nothing in the room says that it had one.
            self._owed[room.sid] = saying_anew(ours[0].metadata)
            given = await dispatch_again(livekit, room.name, agent_name, ours, anew=True)
        else:
            given = await dispatch(livekit, room.name, agent_name, self._owed[room.sid])
        del self._owed[room.sid]
        return given


async def _people_in(livekit: api.LiveKitAPI, room: str) -> list[api.ParticipantInfo]:
    try:
        asked = api.ListParticipantsRequest(room=room)
        return list((await livekit.room.list_participants(asked)).participants)
    except api.ServerError:
        # It was closed meanwhile.
        return []


def _agents(
    people: Iterable[api.ParticipantInfo], ours: Iterable[api.AgentDispatch]
) -> list[api.ParticipantInfo]:
    """Agents of ours: by what they show, or by the job with which they are about to."""
    jobs = {f"agent-{job.id}" for each in ours for job in each.state.jobs}
    return [
        each
        for each in people
        if each.kind == api.ParticipantInfo.Kind.AGENT
        and (each.identity in jobs or any(name.startswith("moshi.") for name in each.attributes))
    ]
