"""LiveKit's SIP API, with its answers in words that say what to do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from livekit import api

from engine.errors import EngineError, Refused, SettingError
from worker.preflight import check_livekit
from worker.settings import LiveKitSettings

_PATIENCE_S = 2.0
_BUSY = (486, 600)
_NO_ANSWER = (408, 480, 487)
_DECLINED = (603, 607)
_NO_NUMBER = (404, 410, 484, 604)
_NOT_LET_IN = (401, 403, 407)


class NoBridge(Refused):
    """LiveKit knows of no livekit-sip."""

    def __init__(self) -> None:
        super().__init__(
            "no livekit-sip answers: is it running, with the Redis and the key of this LiveKit server? "
            "See deploy/sip/livekit-sip.yaml"
        )


class NotAnswered(Refused):
    """The other side did not take the call."""


@asynccontextmanager
async def livekit_sip(settings: LiveKitSettings) -> AsyncIterator[api.LiveKitAPI]:
    """The API, for a while. Raises SettingError, NoBridge, NotAnswered or EngineError for what it answers."""
    await check_livekit(settings, _PATIENCE_S)
    secret = settings.livekit_api_secret.get_secret_value()
    # To dial twice because the first answer was lost would be a call too many.
    livekit = api.LiveKitAPI(settings.livekit_url, settings.livekit_api_key, secret, failover=False)
    try:
        async with livekit:
            yield livekit
    except api.ServerError as answer:
        raise meaning(answer) from None
    except (aiohttp.ClientError, TimeoutError) as silence:
        raise EngineError(f"the LiveKit server does not answer any more ({silence})") from None


def meaning(answer: api.ServerError) -> EngineError:
    """What an answer of LiveKit's means for whoever gave the command."""
    if isinstance(answer, api.SipCallError) and answer.sip_status_code is not None:
        return _of_status(answer.sip_status_code, answer.sip_status or "")
    if "redis required" in answer.message:
        return SettingError(
            "this LiveKit server has no Redis, and without one no SIP: give it the `redis:` section of its "
            "configuration, and livekit-sip the same one (docs/phones.md)"
        )
    if answer.code == "unavailable" or "no response from servers" in answer.message:
        return NoBridge()
    if answer.code in ("invalid_argument", "not_found", "already_exists", "failed_precondition"):
        return SettingError(f"LiveKit does not take this: {answer.message}")
    return EngineError(f"LiveKit could not do this: {answer.code} {answer.message}")


def _of_status(code: int, status: str) -> EngineError:
    if code in _NOT_LET_IN:
        return SettingError(
            f"the provider does not let us call ({code} {status}): are address, username and "
            "WORKER_SIP_OUTBOUND_PASSWORD of the outbound trunk right?"
        )
    if code in _NO_NUMBER:
        return SettingError(f"the provider knows no such number ({code} {status})")
    said = (
        ("busy", _BUSY),
        ("nobody answered", _NO_ANSWER),
        ("declined", _DECLINED),
    )
    what = next((words for words, codes in said if code in codes), "the call did not come about")
    return NotAnswered(f"{what} ({code} {status})")
