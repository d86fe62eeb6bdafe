"""Who has a say in a call's voice, told by a real LiveKit server to a real worker and engine."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile
from livekit import api
from playwright.async_api import expect
from yarl import URL

from engine.protocol import SESSION_PATH
from tests.end_to_end.browser import Visit, chromium, visit
from tests.end_to_end.conftest import PATIENCE_S, StartWorker
from tests.end_to_end.line import Line
from tests.end_to_end.processes import free_port, get, python, running, wait_for
from worker.caller.caller import Caller, new_room
from worker.settings import LiveKitSettings

AGENT = "shop"
REFUSED = "This call cannot begin: no voice is called 'eve'; this engine has ann, bob."

pytestmark = pytest.mark.timeout(240)


def token(livekit: LiveKitSettings, room: str, *, may_change: bool = False, **attributes: str) -> str:
    grants = api.VideoGrants(room_join=True, room=room, can_update_own_metadata=may_change)
    signed = api.AccessToken(livekit.livekit_api_key, livekit.livekit_api_secret.get_secret_value())
    signed = signed.with_identity("ada").with_grants(grants)
    return signed.with_attributes({f"moshi.{name}": value for name, value in attributes.items()}).to_jwt()


async def open_room(livekit: LiveKitSettings, **wanted: str) -> str:
    """A room whose metadata asks for this, with an agent on its way."""
    room = new_room()
    secret = livekit.livekit_api_secret.get_secret_value()
    async with api.LiveKitAPI(livekit.livekit_url, livekit.livekit_api_key, secret) as server:
        dispatch = api.RoomAgentDispatch(agent_name=AGENT)
        metadata = json.dumps({"moshi": wanted, "theirs": 1})
        await server.room.create_room(api.CreateRoomRequest(name=room, metadata=metadata, agents=[dispatch]))
    return room


async def what_came_of(livekit: LiveKitSettings, room: str, caller_token: str) -> str:
    """The model's name once it listens, or the line that says why it never will."""
    async with Caller.enter(livekit.livekit_url, caller_token) as caller, asyncio.timeout(2 * PATIENCE_S):
        while True:
            told = [segment.text for segment in caller.segments if segment.text.startswith("This call")]
            if model := caller.agent_attributes.get("moshi.model"):
                return model
            if told and told[0].endswith("."):
                return told[0]
            await asyncio.sleep(0.1)


async def begin_call(here: Visit) -> None:
    await here.button("Call").click()
    await expect(here.button("End")).to_be_visible(timeout=2000 * PATIENCE_S)


async def asked_of_the_engine(line: Line) -> tuple[str | None, str | None]:
    """Voice and role of the first session since `line.asked` was cleared."""
    async with asyncio.timeout(2 * PATIENCE_S):
        while not (begun := [url.query for url in map(URL, line.asked) if url.path == SESSION_PATH]):
            await asyncio.sleep(0.1)
    return begun[0].get("voice"), begun[0].get("prompt")


async def test_a_token_or_the_page_chooses_a_voice_where_neither_app_nor_room_did_and_nobody_else_can(
    livekit: LiveKitSettings, start_worker: StartWorker, logs: Path, voice: Path, tmp_path: Path
) -> None:
    t = np.arange(30_000) / 24_000
    for name, hertz in (("ann", 300), ("bob", 150)):
        soundfile.write(tmp_path / f"{name}.wav", 0.2 * np.sin(2 * np.pi * hertz * t), 24_000)
    port, page_port = free_port(), free_port()
    serve = python("engine", "serve", "--checkpoint", "random:tiny-personaplex", "--voices", str(tmp_path))
    options = ("--port", str(port), "--slots", "4", "--allow-slower-than-real-time")
    with ExitStack() as programs:
        engine = programs.enter_context(running([*serve, *options], logs / "personas.log"))
        wait_for(engine, lambda: get(f"http://127.0.0.1:{port}/readyz"))
        async with Line.to(port) as line:
            settings = {"ENGINE_URL": f"ws://127.0.0.1:{line.port}", "WORKER_WEB_PORT": str(page_port)}
            # It talks over the line already while it starts.
            await asyncio.to_thread(programs.enter_context, start_worker("start", AGENT, **settings))
            plain, decided, forged = [
                await open_room(livekit, **wanted)
                for wanted in ({}, {"voice": "ann", "prompt": "Be kind."}, {})
            ]
            came_of = await asyncio.gather(
                what_came_of(livekit, plain, token(livekit, plain, voice="eve")),
                what_came_of(livekit, decided, token(livekit, decided, voice="eve")),
                what_came_of(livekit, forged, token(livekit, forged, voice="eve", may_change=True)),
            )
            assert [*came_of] == [REFUSED, "random:tiny-personaplex", "random:tiny-personaplex"]
            line.asked.clear()
            async with (
                chromium(voice) as browser,
                visit(browser, f"http://127.0.0.1:{page_port}/") as here,
            ):
                await begin_call(here)
                assert await asked_of_the_engine(line) == (None, None)
                await here.button("Settings").click()
                voices = here.page.get_by_role("combobox", name="Voice")
                choices = ["What the server takes", "ann", "bob"]
                await expect(voices.locator("option")).to_have_text(choices)
                await voices.select_option("bob")
                await here.page.get_by_label("Prompt").fill("You work for a bakery.")
                await here.button("Done").click()
                await here.button("End").click()
                line.asked.clear()
                await begin_call(here)
                assert await asked_of_the_engine(line) == ("bob", "You work for a bakery.")
            # Its jobs are told to end while there is a line to the engine.
            await asyncio.to_thread(programs.close)
