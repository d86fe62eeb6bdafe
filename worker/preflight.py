"""What a caller would find out otherwise: is LiveKit there, does it know our key, is there an engine?"""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aiohttp
from livekit import api

from engine.client import EngineClient
from engine.errors import EngineUnreachable, SettingError
from worker.settings import LiveKitSettings

PATIENCE_S = 10.0
RETRY_S = 0.5


async def check_livekit(settings: LiveKitSettings, patience_s: float = PATIENCE_S) -> None:
    """Ask the server for a room. Raises SettingError if nobody answers for `patience_s`, or a bad key."""
    secret = settings.livekit_api_secret.get_secret_value()
    async with api.LiveKitAPI(settings.livekit_url, settings.livekit_api_key, secret) as livekit:
        try:
            await _until_answered(
                lambda: livekit.room.list_rooms(api.ListRoomsRequest(names=["-"])),
                patience_s,
                aiohttp.ClientError,
                TimeoutError,
            )
        except api.TwirpError as refusal:
            raise SettingError(_refused(settings, refusal)) from None
        except (aiohttp.ClientError, TimeoutError) as silence:
            raise SettingError(
                f"no LiveKit server answers at LIVEKIT_URL={settings.livekit_url} ({silence}): is it running?"
            ) from None


async def check_engine(engine: EngineClient, patience_s: float = PATIENCE_S) -> None:
    """Ask the engine for its seats. Raises SettingError if nobody answers for `patience_s`, Unauthorized."""
    try:
        await _until_answered(engine.seats, patience_s, EngineUnreachable)
    except EngineUnreachable as silence:
        raise SettingError(str(silence)) from None


async def _until_answered(
    ask: Callable[[], Awaitable[object]], patience_s: float, *silence: type[Exception]
) -> None:
    """Ask again while nothing but `silence` is raised, for `patience_s`; then the last is raised."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        try:
            await ask()
            return
        except silence:
            if asyncio.get_running_loop().time() >= deadline:
                raise
        await asyncio.sleep(RETRY_S)


def _refused(settings: LiveKitSettings, refusal: api.TwirpError) -> str:
    where = urlsplit(settings.livekit_url).netloc
    if refusal.status in (401, 403):
        return (
            f"the LiveKit server at {where} does not accept LIVEKIT_API_KEY={settings.livekit_api_key!r} "
            "with this LIVEKIT_API_SECRET: take a pair from its own configuration"
        )
    status = f"HTTP {refusal.status} {refusal.message}".rstrip()
    return f"what answers at LIVEKIT_URL={settings.livekit_url} is no LiveKit server ({status})"
