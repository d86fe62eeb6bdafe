"""Calls that have lost their job: each is claimed from the engine once, and goes on in a new one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from livekit import api
from livekit.protocol.models import Room

from engine.admin import EngineAdmin
from engine.admin_protocol import Orphan
from engine.errors import AlreadyClaimed, EngineError, EngineUnreachable, SessionGone, SettingError
from worker.phones.switchboard import hang_up_those_alone_in
from worker.room.returning import Returning, call_of
from worker.settings import LiveKitSettings, WorkerSettings
from worker.signs import attributes

log = logging.getLogger(__name__)

MOMENT_S = 0.3
"""A job that lives has brought its session back by then."""
POLL_S = 0.1
RETRY_S = 1.0
MOST_TIMES = 5
"""A call that has lost more jobs than this in WITHIN_S may be what ends them."""
WITHIN_S = 60.0

Launch = Callable[[Room, str, Returning], Awaitable[object]]
"""Starts a job in a room, under the identity of the one before."""


class Orphans:
    """Watches one engine. Several workers may: the engine lets one of them have each session.

    `launch` starts the job, `lives` says whether a job of ours is still there, by room and identity, and
    `stays` whether this worker takes calls at all. `count` is told what became of each: brought_back, over,
    given_up, failed.
    """

    def __init__(
        self,
        launch: Launch,
        lives: Callable[[str, str], bool],
        stays: Callable[[], bool],
        count: Callable[[str], None] = lambda _result: None,
    ) -> None:
        self._count = count
        self._launch = launch
        self._lives = lives
        self._stays = stays
        self._agent_name = ""
        self._lost: dict[tuple[str, str], dict[str, Orphan]] = {}
        self._launched: list[tuple[float, str]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch the engine that the environment names, if it tells of what is lost."""
        with suppress(SettingError):
            settings = WorkerSettings.load()
            if settings.engine_admin_socket is not None:
                self._watching = asyncio.create_task(self._watch(settings.engine_admin_socket, settings))

    def cares_for(self, room: str) -> bool:
        """Whether a call of this room is about to be brought back."""
        return any(name == room for name, _identity in self._lost)

    async def stop(self) -> None:
        """Take care of no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self, socket: Path, settings: LiveKitSettings) -> None:
        secret = settings.livekit_api_secret.get_secret_value()
        async with api.LiveKitAPI(settings.livekit_url, settings.livekit_api_key, secret) as livekit:
            await self.watch(socket, livekit, settings.livekit_agent_name)

    async def watch(self, socket: Path, livekit: api.LiveKitAPI, agent_name: str) -> None:
        """Bring back what is lost, until cancelled.

        socket: the engine's ENGINE_ADMIN_SOCKET; agent_name: by which agents are dispatched, "" for any room.
        """
        self._agent_name = agent_name
        reachable = True
        try:
            async with EngineAdmin(socket) as admin:
                while True:
                    try:
                        async for orphan in admin.orphans():
                            reachable = True
                            self._take_note(orphan, admin, livekit)
                    except EngineError as silence:
                        if reachable:
                            log.warning("no word of lost calls", extra={"detail": str(silence)})
                        reachable = False
                    await asyncio.sleep(RETRY_S)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take_note(self, orphan: Orphan, admin: EngineAdmin, livekit: api.LiveKitAPI) -> None:
        whose = (orphan.room, orphan.identity)
        if whose in self._lost:
            self._lost[whose][orphan.session] = orphan
            return
        self._lost[whose] = {orphan.session: orphan}
        task = asyncio.create_task(self._bring_back(*whose, admin, livekit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bring_back(
        self, room_name: str, identity: str, admin: EngineAdmin, livekit: api.LiveKitAPI
    ) -> None:
        """All the sessions of one call."""
        call = call_of(identity)
        lost = self._lost[room_name, identity]
        try:
            async with asyncio.timeout(max(orphan.left_s for orphan in lost.values())):
                await asyncio.sleep(MOMENT_S)
                await self._no_job(room_name, identity)
                found = await _find(livekit, room_name, self._agent_name, identity)
        except TimeoutError:
            return
        finally:
            del self._lost[room_name, identity]
        if found is None:
            log.info("a lost call is over: nobody wants an agent in its room", extra={"call": call})
            self._count("over")
            return
        if self._too_often(call):
            log.error("a call loses every job that it gets, and gets no more", extra={"call": call})
            self._count("given_up")
            await hang_up_those_alone_in(room_name, livekit, call)
            return
        resume = {}
        for orphan in lost.values():
            # It has been brought back by now, or somebody else's worker was faster.
            with suppress(AlreadyClaimed, SessionGone, EngineUnreachable):
                resume[orphan.seat] = (await admin.claim(orphan.session)).resume
        if not resume:
            return
        log.info("a lost call goes on", extra={"call": call})
        self._launched.append((asyncio.get_running_loop().time(), call))
        try:
            returning = Returning(call, resume, found.metadata, found.caller)
            await self._launch(found.room, identity, returning)
        except Exception:
            # What launches is not ours and may raise anything.
            log.exception("a lost call got no job", extra={"call": call})
            self._count("failed")
        else:
            self._count("brought_back")

    def _too_often(self, call: str) -> bool:
        now = asyncio.get_running_loop().time()
        self._launched = [(at, name) for at, name in self._launched if now - at < WITHIN_S]
        return [name for _, name in self._launched].count(call) >= MOST_TIMES

    async def _no_job(self, room: str, identity: str) -> None:
        """Wait until the call has no job of ours, and we may give it one."""
        while True:
            if self._stays() and not self._lives(room, identity):
                return
            await asyncio.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class _Found:
    """A room in which an agent is wanted, the metadata of the call's dispatch, and whom it listened to."""

    room: Room
    metadata: str
    caller: str


async def _find(livekit: api.LiveKitAPI, name: str, agent_name: str, identity: str) -> _Found | None:
    """The room of the call of this agent, if one is still wanted there.

    Joining a room that is closed would make a new one.
    """
    while True:
        try:
            asked = api.ListRoomsRequest(names=[name])
            room = next(iter((await livekit.room.list_rooms(asked)).rooms), None)
            if room is None:
                return None
            shown = await _shown(livekit, name, identity)
            caller = "" if shown is None else shown.attributes.get(attributes.CALLER, "")
            if not agent_name:
                return _Found(room, "", caller)
            dispatches = await livekit.agent_dispatch.list_dispatch(name)
            ours = [dispatch for dispatch in dispatches if dispatch.agent_name == agent_name]
            # LiveKit ends a job whose dispatch is deleted as one whose connection is lost, and shows it no
            # more. A server that was started again has forgotten every dispatch, and still shows the agent.
            if not ours and shown is None:
                return None
            return _Found(room, _metadata(ours, call_of(identity)), caller)
        except (aiohttp.ClientError, api.TwirpError, TimeoutError):
            await asyncio.sleep(POLL_S)


async def _shown(livekit: api.LiveKitAPI, room: str, agent: str) -> api.ParticipantInfo | None:
    """This agent as the room shows it: for 20 s after it was killed."""
    asked = api.ListParticipantsRequest(room=room)
    people = (await livekit.room.list_participants(asked)).participants
    return next((person for person in people if person.identity == agent), None)


def _metadata(dispatches: list[api.AgentDispatch], call: str) -> str:
    """Of the dispatch that began this call: the one with its job, else the only one."""
    fitting = [each for each in dispatches if call in (job.id for job in each.state.jobs)] or dispatches
    return fitting[0].metadata if len(fitting) == 1 else ""
