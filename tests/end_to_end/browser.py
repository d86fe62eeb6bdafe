"""Chromium with a voice for a microphone, and the page in it."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Browser, Locator, Page, WebSocket, async_playwright

from load_tests.browser.chromium import find
from tests.lacking import lacking

# A name of this machine that is not localhost: to the browser, a page from elsewhere.
ELSEWHERE = "elsewhere.test"
RECORDER = """
async ([seconds, rate]) => {
  const context = new AudioContext({ sampleRate: rate });
  const microphone = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  const voice = document.querySelector("audio").srcObject;
  const merger = context.createChannelMerger(2);
  context.createMediaStreamSource(microphone).connect(merger, 0, 0);
  context.createMediaStreamSource(voice).connect(merger, 0, 1);
  const recorder = context.createScriptProcessor(4096, 2, 2);
  const tracks = [[], []];
  const done = new Promise((resolve) => {
    recorder.onaudioprocess = ({ inputBuffer }) => {
      tracks.forEach((track, channel) => track.push(...inputBuffer.getChannelData(channel)));
      if (tracks[0].length >= seconds * rate) resolve();
    };
  });
  merger.connect(recorder).connect(context.destination);
  await done;
  await context.close();
  microphone.getTracks().forEach((track) => track.stop());
  return tracks.map((track) => {
    const bytes = new Uint8Array(Int16Array.from(track, (sample) => sample * 32767).buffer);
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text);
  });
}
"""


def find_chromium() -> str:
    """The machine's own. Skips where there is none; in CI, fails."""
    found = find()
    if found is None:
        lacking("no Chromium: apt install chromium, or name one in CHROMIUM")
    return found


@dataclass(slots=True)
class Visit:
    """Somebody at the page. `calls`: what the page asked the call endpoint for, and what it was told."""

    page: Page
    calls: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def offers(self) -> list[dict[str, Any]]:
        """What it was told when there was a seat."""
        return [answer for _request, answer in self.calls if "token" in answer]

    @property
    def state(self) -> Locator:
        return self.page.locator("#state")

    @property
    def transcript(self) -> Locator:
        return self.page.get_by_role("list", name="Transcript")

    async def record(self, seconds: float, rate: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """The microphone and what the page plays, at the same time; int16 [N] each at `rate`."""
        return await record(self.page, seconds, rate)


async def record(page: Page, seconds: float, rate: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The microphone and what the first audio element plays, at the same time; int16 [N] each at `rate`."""
    said, heard = await page.evaluate(RECORDER, [seconds, rate])
    return _sound(said), _sound(heard)


def _sound(text: str) -> NDArray[np.int16]:
    return np.frombuffer(base64.b64decode(text), np.int16)


@asynccontextmanager
async def chromium(microphone: Path | None) -> AsyncIterator[Browser]:
    """A browser whose microphone is a WAV at 48 kHz, again and again; None: it gives it to nobody."""
    options = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream",
    ]
    if microphone is not None:
        options += ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=options)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visit(browser: Browser, url: str, **context: Any) -> AsyncIterator[Visit]:
    """The page at `url`, which must not make the browser complain, until the block is left."""
    profile = await browser.new_context(**context)
    here = Visit(await profile.new_page())

    async def note(answer: Any) -> None:
        if answer.url.endswith("/api/call") and answer.request.method == "POST":
            here.calls.append((answer.request.post_data_json, await answer.json()))

    sockets: list[WebSocket] = []
    here.page.on("websocket", lambda socket: sockets.append(socket))
    here.page.on("response", note)
    here.page.on("pageerror", lambda error: here.complaints.append(str(error)))
    here.page.on(
        "console",
        lambda line: here.complaints.append(line.text) if "Content Security Policy" in line.text else None,
    )
    try:
        await here.page.goto(url)
        yield here
        if await here.button("End").is_visible():
            # The seat of somebody who only closes the page stays theirs for a while: it could be a reload.
            await here.button("End").click()
        for _ in range(50):
            # It is free once the page has said so to the server, which takes it a moment.
            if all(socket.is_closed() for socket in sockets):
                break
            await here.page.wait_for_timeout(100)
        assert here.complaints == []
    finally:
        await profile.close()
