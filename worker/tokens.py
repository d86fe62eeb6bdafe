"""Tokens that let somebody into one room, to speak and to listen there."""

import warnings
from collections.abc import Mapping

from jwt import InsecureKeyLengthWarning
from livekit import api

from worker.settings import LiveKitSettings


def accept_development_secret() -> None:
    """Warn of no short secret: LiveKit's is one, and the settings let it pass on this machine only."""
    warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)


def caller_token(settings: LiveKitSettings, room: str, identity: str) -> api.AccessToken:
    """A token for a caller: a microphone, no say in who they seem to be."""
    grant = api.VideoGrants(
        room_join=True, room=room, can_publish_sources=["microphone"], can_update_own_metadata=False
    )
    token = api.AccessToken(settings.livekit_api_key, settings.livekit_api_secret.get_secret_value())
    return token.with_identity(identity).with_grants(grant)


def agent_token(
    settings: LiveKitSettings, room: str, identity: str, name: str, attributes: Mapping[str, str]
) -> str:
    """A token for an agent that LiveKit has not dispatched, with the same rights as one that it has."""
    grant = api.VideoGrants(room_join=True, room=room, agent=True, can_update_own_metadata=True)
    token = api.AccessToken(settings.livekit_api_key, settings.livekit_api_secret.get_secret_value())
    token = token.with_identity(identity).with_name(name).with_kind("agent").with_grants(grant)
    return token.with_attributes(dict(attributes)).to_jwt()
