"""What LiveKit tells of its rooms, signed with the key that it shares with us."""

import base64
import hashlib
import hmac

import jwt
from aiohttp import hdrs, web
from google.protobuf.json_format import Parse, ParseError
from livekit import api

from engine.errors import Unauthorized
from worker.settings import LiveKitSettings
from worker.web.phones import Phones

PATH = "/webhook/livekit"
_MAX_BODY_BYTES = 256 * 1024


class Webhook:
    """Hands calls from telephones on. All else that is told is of no use here."""

    def __init__(self, settings: LiveKitSettings, phones: Phones) -> None:
        secret = settings.livekit_api_secret.get_secret_value()
        self._verifier = api.TokenVerifier(settings.livekit_api_key, secret)
        self._phones = phones

    async def handle(self, request: web.Request) -> web.Response:
        """One event. Raises Unauthorized for what LiveKit has not signed."""
        event = await self._read(request.clone(client_max_size=_MAX_BODY_BYTES))
        if event.event == "participant_joined" and event.participant.kind == api.ParticipantInfo.Kind.SIP:
            self._phones.came(event.room.name, event.participant.identity)
        return web.Response()

    async def _read(self, request: web.Request) -> api.WebhookEvent:
        body = await request.read()
        try:
            # Not by WebhookReceiver: it tells a forged event from a failure of its own by no type of error.
            claims = self._verifier.verify(request.headers.get(hdrs.AUTHORIZATION, ""))
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            if hmac.compare_digest(claims.sha256 or "", digest):
                return Parse(body, api.WebhookEvent(), ignore_unknown_fields=True)
        except (jwt.InvalidTokenError, ParseError, ValueError):
            pass
        raise Unauthorized("this takes events of the LiveKit server alone, signed with LIVEKIT_API_KEY")
