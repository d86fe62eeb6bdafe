"""Somebody who calls from a browser: to those who measure, much like `worker.caller.caller.Caller`."""

import asyncio
import base64
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.step.frames import SAMPLE_RATE
from load_tests.browser.chromium import open_page
from load_tests.callers.line import LineTotals
from worker.caller import sound_files
from worker.caller.caller import AGENT_TIMEOUT_S, NoAgent
from worker.caller.microphone import SPEAKING_RATE

if TYPE_CHECKING:
    from playwright.async_api import Page

_LEAD_S = 1.0
"""Silence before what is said: a microphone takes a while to open."""
_TAIL_S = 60.0
"""Silence after it: then Chromium begins anew."""
_OPENING_S = 0.5
"""As long as that may take; if it takes longer, less of what is said is compared."""
_KEY_S = 5.0
"""So much of what is said is looked for in the recording, to know where it begins there."""
_AUDIBLE = 100
_MICROPHONE_TIMEOUT_S = 20.0


class BrowserCaller:
    """In a room, with a microphone that is silent until `say`. Made by `enter`.

    What its microphone gives and what it hears are recorded in the page, by one clock.
    """

    def __init__(self, page: "Page", microphone: Path) -> None:
        self.join_s: float | None = None
        self.first_audio_s: float | None = None
        self.agent_left = asyncio.Event()
        self.agent_attributes: dict[str, str] = {}
        self.latencies: list[dict[str, int]] = []
        self._page = page
        self._file = microphone
        self._said: list[NDArray[np.int16]] = []
        self._heard: list[NDArray[np.int16]] = []
        self._began: int | None = None

    @classmethod
    @asynccontextmanager
    async def enter(cls, url: str, token: str) -> AsyncIterator["BrowserCaller"]:
        """A caller in the room that the token names until the block is left.

        Raises SettingError without a browser, EngineError where it cannot connect.
        """
        with tempfile.TemporaryDirectory() as folder:
            microphone = Path(folder) / "microphone.wav"
            async with open_page(microphone) as page:
                caller = cls(page, microphone)
                await page.expose_function("agentLeft", caller.agent_left.set)
                await page.expose_function("agentAttributes", caller._on_attributes)
                await page.expose_function("agentLatency", caller._on_latency)
                await page.expose_function("recorded", caller._on_recorded)
                await caller._do("join", url, token)
                try:
                    yield caller
                finally:
                    # A browser that is only closed leaves its seat taken for a while.
                    with suppress(EngineError):
                        await caller._do("leave")

    async def wait_for_agent(self, timeout_s: float = AGENT_TIMEOUT_S) -> None:
        """Wait until an agent can be heard and hears us. Raises NoAgent."""
        try:
            async with asyncio.timeout(timeout_s):
                told = await self._do("answered")
        except TimeoutError:
            raise NoAgent(timeout_s) from None
        self.join_s, self.first_audio_s = told["joined"], told["first"]

    async def say(self, pcm: NDArray[np.int16], at: float) -> None:
        """Speak int16 [N] at SPEAKING_RATE in real time, from about `at` (time.monotonic()) on.

        From the first sample on, the answer is kept.
        """
        lead, tail = (np.zeros(round(seconds * SPEAKING_RATE), np.int16) for seconds in (_LEAD_S, _TAIL_S))
        sound_files.write(self._file, np.concatenate([lead, pcm, tail]), SPEAKING_RATE)
        await asyncio.sleep(at - _LEAD_S - time.monotonic())
        await self._do("speak", SAMPLE_RATE)
        whole = pcm[:: SPEAKING_RATE // SAMPLE_RATE]
        audible = np.flatnonzero(np.abs(whole) > _AUDIBLE)
        first = int(audible[0]) if len(audible) else 0
        key = whole[first : first + round(_KEY_S * SAMPLE_RATE)]
        silent = sum(map(len, self._said)) + round((_LEAD_S + _OPENING_S) * SAMPLE_RATE)
        await self._until_recorded(silent + first + len(key))
        began = place(key, np.concatenate(self._said)) - first
        if began < 0:
            raise EngineError(
                "the browser's microphone began before it was recorded: is this machine too busy?"
            )
        self._began = began
        await self._until_recorded(began + len(whole))

    @property
    def heard(self) -> NDArray[np.int16]:
        """What came back since the first sample was spoken, int16 [N] at 24 kHz; none if that is unknown."""
        heard = np.concatenate([np.zeros(0, np.int16), *self._heard])
        return heard[len(heard) if self._began is None else self._began :]

    async def stats(self) -> LineTotals:
        """What the browser's WebRTC has counted for the agent's track."""
        told = await self._do("statistics")
        heard, round_trip_s = told["inbound"] or {}, told["roundTrip"]
        return LineTotals(
            waited_s=heard.get("jitterBufferDelay", 0.0),
            emitted=heard.get("jitterBufferEmittedCount", 0),
            concealed=heard.get("concealedSamples", 0),
            received=heard.get("totalSamplesReceived", 0),
            jitter_s=heard.get("jitter"),
            rtt_s=round_trip_s,
        )

    async def _until_recorded(self, samples: int) -> None:
        deadline = time.monotonic() + samples / SAMPLE_RATE + _MICROPHONE_TIMEOUT_S
        while sum(map(len, self._said)) < samples:
            if time.monotonic() > deadline:
                raise EngineError("the browser's microphone gives nothing: is this machine too busy for one?")
            await asyncio.sleep(0.1)

    async def _do(self, function: str, *arguments: object) -> Any:
        from playwright.async_api import Error

        try:
            return await self._page.evaluate(f"(given) => {function}(...given)", list(arguments))
        except Error as error:
            reason = error.message.partition("\n")[0]
            raise EngineError(f"the browser could not {function}: {reason}") from None

    def _on_attributes(self, attributes: dict[str, str]) -> None:
        self.agent_attributes = attributes

    def _on_latency(self, latency: dict[str, int]) -> None:
        self.latencies.append(latency)

    def _on_recorded(self, channels: list[str]) -> None:
        said, heard = (np.frombuffer(base64.b64decode(channel), np.int16) for channel in channels)
        self._said.append(said)
        self._heard.append(heard)


def place(key: NDArray[np.int16], recording: NDArray[np.int16]) -> int:
    """The sample of `recording` at which `key` begins, by their correlation."""
    size = 1 << (len(key) + len(recording)).bit_length()
    spoken, recorded = (np.fft.rfft(pcm.astype(np.float64), size) for pcm in (key, recording))
    return int(np.fft.irfft(recorded * np.conj(spoken), size)[: len(recording)].argmax())
