"""What LiveKit knows of who has asked for our agent: it dispatches once, and never again by itself.

A room's dispatch stays there as long as the room, and what is listed of its jobs is as they began: nobody can
read there whether one has ended. So the dispatch of a call that is over for good is taken back, and a room
that still has one, but no agent, has lost it.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from http import HTTPStatus

import aiohttp
from livekit import api

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
_ANEW = "moshi.anew"
_ATTEMPTS = 3
_AGAIN_S = 0.5


def saying_anew(metadata: str) -> str:
    """The metadata of a dispatch with the word that the call's conversation was lost."""
    return metadata if read(metadata)[1] else json.dumps({_ANEW: metadata})


def read(metadata: str) -> tuple[str, bool]:
    """The metadata that a dispatch was given at first, and whether its call's conversation was lost."""
    try:
        body = json.loads(metadata)
    except (ValueError, RecursionError):
        return metadata, False
    if isinstance(body, dict) and body.keys() == {_ANEW} and isinstance(body[_ANEW], str):
        return body[_ANEW], True
    return metadata, False


async def dispatch_again(
    livekit: api.LiveKitAPI, room: str, agent_name: str, before: Sequence[api.AgentDispatch], *, anew: bool
) -> api.AgentDispatch | None:
    """Dispatch the agent in place of the first of those that were asked for `before`, if there were any; None
    if somebody else was faster: a dispatch can be deleted once. anew: who is there has lost a conversation.

    Raises ServerError, ClientError, TimeoutError.
    """
    metadata = before[0].metadata if before else ""
    if before and not await _delete(livekit, room, before[0].id):
        return None
    return await dispatch(livekit, room, agent_name, saying_anew(metadata) if anew else metadata)


async def dispatch(livekit: api.LiveKitAPI, room: str, agent_name: str, metadata: str) -> api.AgentDispatch:
    """Dispatch the agent, with patience: nobody else may know what the room has asked for.

    Raises ServerError, ClientError, TimeoutError.
    """
    asked = api.CreateAgentDispatchRequest(room=room, agent_name=agent_name, metadata=metadata)
    for _ in range(_ATTEMPTS - 1):
        try:
            return await livekit.agent_dispatch.create_dispatch(asked)
        except (aiohttp.ClientError, api.ServerError, TimeoutError):
            await asyncio.sleep(_AGAIN_S)
    return await livekit.agent_dispatch.create_dispatch(asked)


async def withdraw(livekit: api.LiveKitAPI, room: str, call_id: str) -> None:
    """Take the dispatch back with which this call began: nobody is to be sent there again for it."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            for dispatch in await livekit.agent_dispatch.list_dispatch(room):
                if call_id in (job.id for job in dispatch.state.jobs):
                    await _delete(livekit, room, dispatch.id)
    except (aiohttp.ClientError, api.ServerError, TimeoutError) as error:
        log.warning("a dispatch could not be taken back", extra={"call": call_id, "detail": str(error)})


async def _delete(livekit: api.LiveKitAPI, room: str, dispatch: str) -> bool:
    """Whether it was there."""
    try:
        await livekit.agent_dispatch.delete_dispatch(dispatch, room)
    except api.ServerError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return False
        raise
    return True
