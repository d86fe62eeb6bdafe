"""`engine talk`: from settings to a conversation, and what became of it."""

import asyncio
from typing import TextIO

from engine.client import EngineClient
from engine.protocol import SessionRequest
from engine.settings import ClientSettings
from engine.talk.conversation import Conversation, OpenCard
from engine.talk.screen import Screen


async def talk(
    settings: ClientSettings,
    request: SessionRequest,
    open_card: OpenCard,
    hang_up: asyncio.Event,
    out: TextIO,
) -> None:
    """Open a session and talk until `hang_up` is set or the engine goes down.

    Raises what `EngineClient.open` raises, what the engine says went wrong, and SettingError for a sound card
    that cannot be opened.
    """
    token = settings.token.get_secret_value() if settings.token else None
    async with EngineClient(settings.url, token) as client:
        session = await client.open(request)
        screen = Screen(out)
        ready = session.ready
        screen.line(
            f"You talk to a machine: {ready.model}, seed {ready.seed}. "
            "Use headphones, or it hears itself. Ctrl-C hangs up."
        )
        conversation = Conversation(session, screen)
        try:
            reason = await conversation.run(open_card, hang_up)
        finally:
            screen.close()
            await session.close()
    if reason != "hang_up":
        print("the engine is shutting down", file=out)
    print(f"answers, from the end of a frame to its answer here: {conversation.latency}", file=out)
