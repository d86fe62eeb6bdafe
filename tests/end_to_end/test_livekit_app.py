"""An app of LiveKit's own components, in a real browser, with the worker as it is."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from tests.end_to_end.browser import chromium, record
from tests.end_to_end.processes import Running
from tests.lacking import lacking
from worker.caller.caller import new_room, token
from worker.settings import LiveKitSettings

DIST = Path(__file__).parent / "livekit_app" / "dist"
WORDS = "I hear you"
LOUD = 2000
LIVE = {"listening", "speaking"}
# A machine that does much else at the same time.
SOON_MS = 60_000

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def app_url() -> AsyncIterator[str]:
    """The app's address."""
    if not (DIST / "index.html").exists():
        lacking(f"{DIST} is not built: make test builds it")
    app = web.Application()
    app.router.add_static("/", DIST)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}/index.html"
    await runner.cleanup()


async def listed(page: Page, name: str) -> list[str]:
    return await page.get_by_role("list", name=name, exact=True).get_by_role("listitem").all_inner_texts()


async def test_livekits_own_components_show_the_agent_its_words_and_its_state_and_keep_the_call(
    app_url: str, voice: Path, livekit: LiveKitSettings, worker: Running
) -> None:
    seat = urlencode({"url": livekit.livekit_url, "token": token(livekit, new_room())})
    async with chromium(voice) as browser:
        page = await browser.new_page()
        await page.goto(f"{app_url}#{seat}")
        await page.get_by_role("button", name="Start call").click()
        for name in ("Messages", "Transcriptions"):
            words = page.get_by_role("list", name=name, exact=True)
            await expect(words).to_contain_text(WORDS, timeout=SOON_MS)
        assert f"agentTranscript: {WORDS}" in (await listed(page, "Messages"))[0]
        await expect(page.locator("[data-lk-va-state=speaking]")).to_be_attached(timeout=SOON_MS)
        _said, heard = await record(page, 6, 24_000)
        assert np.abs(heard.astype(int)).max() > LOUD

        latencies = page.get_by_role("list", name="Latencies", exact=True).get_by_role("listitem")
        await expect(latencies.nth(1)).to_contain_text("p95_ms", timeout=SOON_MS)
        for name in ("States", "States of old"):
            states = await listed(page, name)
            begun = next(at for at, state in enumerate(states) if state in LIVE)
            assert set(states[begun:]) <= LIVE, f"a call that is on was taken for lost: {states}"
        assert await listed(page, "Failures") == []

        await page.get_by_role("button", name="End call").click()
        await expect(page.locator("[data-lk-va-state]")).not_to_be_attached(timeout=SOON_MS)
