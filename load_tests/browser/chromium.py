"""Chromium, and what its pages are made of."""

import importlib.util
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import SettingError

if TYPE_CHECKING:
    from playwright.async_api import Page, Route

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_HERE = Path(__file__).parent
CLIENT = _HERE.parents[1] / "worker/page/node_modules/livekit-client/dist/livekit-client.umd.js"
# Only https and this host may open a microphone. Nobody listens there: all its files are given from here.
_ADDRESS = "http://localhost/"
_FILES = {
    "": _HERE / "page.html",
    "caller.js": _HERE / "caller.js",
    "recorder.js": _HERE / "recorder.js",
    "livekit-client.js": CLIENT,
}


def find() -> str | None:
    """The browser's program: the one that CHROMIUM names, else the machine's own."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else _NAMES)), None)


def check() -> str:
    """The browser's program. Raises SettingError where anything that a caller in it needs is missing."""
    found = find()
    if found is None:
        raise SettingError("callers in browsers need Chromium: apt install chromium, or name one in CHROMIUM")
    if importlib.util.find_spec("playwright") is None:
        raise SettingError("callers in browsers need playwright: pip install playwright")
    if not CLIENT.exists():
        raise SettingError("callers in browsers need livekit-client: `make setup` installs it for the page")
    return found


@asynccontextmanager
async def open_page(microphone: Path) -> AsyncIterator["Page"]:
    """A page with `caller.js` in a browser of its own, whose microphone, each time it is opened, is this WAV.

    48 kHz; over and over. Raises SettingError.
    """
    program = check()
    from playwright.async_api import async_playwright

    options = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--autoplay-policy=no-user-gesture-required",
        # A page that nobody serves is from nowhere, and would have to ask before it calls a server nearby.
        "--disable-features=LocalNetworkAccessChecks",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=options)
        try:
            page = await browser.new_page()
            await page.route(f"{_ADDRESS}**", _answer)
            await page.goto(_ADDRESS)
            yield page
        finally:
            await browser.close()


async def _answer(route: "Route") -> None:
    file = _FILES.get(route.request.url.removeprefix(_ADDRESS))
    await (route.fulfill(path=file) if file else route.fulfill(status=404))
