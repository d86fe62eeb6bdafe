"""Callers by telephone whom no agent has taken: they hear busy, not ringing without end.

LiveKit dispatches once: where no worker is free at that moment, nobody comes.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import aiohttp
from livekit import api
from livekit.protocol.agent import JobStatus

from worker.dispatches import dispatch_again

log = logging.getLogger(__name__)

AGENT_WITHIN_S = 3.0
STARTING_WITHIN_S = 15.0
"""For who has been taken by an agent that is not there yet: a second one would take a second seat."""
POLL_S = 0.25
_ALIVE = (JobStatus.JS_PENDING, JobStatus.JS_RUNNING)


class Phones:
    """Dispatches the agent of this name once more for callers who have waited AGENT_WITHIN_S, then hangs up.

    Of a room to which somebody has dispatched other agents only, nothing is known here, and nothing done.
    `count` is told of each: offered_again, then hung_up.
    """

    def __init__(
        self, agent_name: str, livekit: api.LiveKitAPI, count: Callable[[str], None] = lambda _result: None
    ) -> None:
        self._count = count
        self._agent_name = agent_name
        self._livekit = livekit
        self._waiting: dict[tuple[str, str], asyncio.Task[None]] = {}

    def came(self, room: str, identity: str) -> None:
        """A telephone is in a room. To be told twice is no harm: LiveKit repeats what it is not sure of."""
        who = (room, identity)
        if who not in self._waiting:
            self._waiting[who] = asyncio.create_task(self._look_after(room, identity))
            self._waiting[who].add_done_callback(lambda _: self._waiting.pop(who))

    async def aclose(self) -> None:
        """Look after nobody any more."""
        tasks = list(self._waiting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_after(self, room: str, identity: str) -> None:
        try:
            if not await self._waits_in_vain(room, identity):
                return
            dispatches = await self._livekit.agent_dispatch.list_dispatch(room)
            ours = self._ours(dispatches)
            if not ours and (dispatches or self._agent_name):
                return
            log.warning("no agent took a telephone call: it is offered again")
            self._count("offered_again")
            await dispatch_again(self._livekit, room, self._agent_name, ours, anew=False)
            if await self._waits_in_vain(room, identity):
                log.error("no agent took a telephone call: it is hung up")
                self._count("hung_up")
                busy = api.RoomParticipantIdentity(room=room, identity=identity)
                await self._livekit.room.remove_participant(busy)
        except (aiohttp.ClientError, api.TwirpError, TimeoutError) as error:
            log.warning("LiveKit does not say what became of a telephone call", extra={"detail": str(error)})

    async def _waits_in_vain(self, room: str, identity: str) -> bool:
        """Whether no agent is in the room after a time in which one should be, and they still are."""
        if not await self._is_left_alone(room, identity, AGENT_WITHIN_S):
            return False
        ours = self._ours(await self._livekit.agent_dispatch.list_dispatch(room))
        if not any(_is_taken(dispatch) for dispatch in ours):
            return True
        return await self._is_left_alone(room, identity, STARTING_WITHIN_S)

    def _ours(self, dispatches: Sequence[api.AgentDispatch]) -> list[api.AgentDispatch]:
        return [dispatch for dispatch in dispatches if dispatch.agent_name == self._agent_name]

    async def _is_left_alone(self, room: str, identity: str, within_s: float) -> bool:
        """Whether they stay so long, and no agent comes."""
        asked = api.ListParticipantsRequest(room=room)
        for _ in range(round(within_s / POLL_S)):
            await asyncio.sleep(POLL_S)
            people = (await self._livekit.room.list_participants(asked)).participants
            if any(person.kind == api.ParticipantInfo.Kind.AGENT for person in people):
                return False
            if not any(person.identity == identity for person in people):
                return False
        return True


def _is_taken(dispatch: api.AgentDispatch) -> bool:
    """Whether a worker has said that it comes."""
    return any(job.state.status in _ALIVE for job in dispatch.state.jobs)
