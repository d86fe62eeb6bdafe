"""Recogniser, LLM and voice that take no time, behind OpenAI's HTTP interface."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from aiohttp import web

RATE = 24_000
ANSWER_HZ = 2000
SECONDS_A_WORD = 0.3
_PIECE = RATE // 10


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: when it was here, when the first of the answer went out, in monotonic seconds; of what."""

    kind: str
    arrived_at: float
    answered_at: float
    text: str


@dataclass
class ModelServer:
    """`heard` is what the recogniser understands, whatever was said; the voice hums ANSWER_HZ.

    The LLM calls the tool `weather` for a question with that word in it, and says its result; else it says
    `answer`.
    """

    url: str = ""
    heard: str = "hello"
    answer: str = "Good day to you."
    asked: list[Asked] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic

    @classmethod
    @asynccontextmanager
    async def running(cls, port: int = 0) -> AsyncIterator[Self]:
        """On 127.0.0.1, until the block is left. `port` 0: any that is free."""
        server = cls()
        app = web.Application()
        app.router.add_post("/v1/audio/transcriptions", server._transcribe)
        app.router.add_post("/v1/chat/completions", server._chat)
        app.router.add_post("/v1/audio/speech", server._speak)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            yield server
        finally:
            await runner.cleanup()

    def of(self, kind: str) -> list[Asked]:
        """The requests of one kind: `transcriptions`, `chat` or `speech`."""
        return [asked for asked in self.asked if asked.kind == kind]

    async def _transcribe(self, request: web.Request) -> web.Response:
        arrived_at = self.clock()
        await request.read()
        self.asked.append(Asked("transcriptions", arrived_at, self.clock(), self.heard))
        return web.json_response({"text": self.heard})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        arrived_at = self.clock()
        body = await request.json()
        last = body["messages"][-1]
        said = _text(last)
        delta: dict[str, Any]
        if last["role"] == "tool":
            delta, why = {"role": "assistant", "content": said}, "stop"
        elif "weather" in said and body.get("tools"):
            call = {"name": "weather", "arguments": json.dumps({"city": "Paris"})}
            function = {"index": 0, "id": f"call_{len(self.asked)}", "type": "function", "function": call}
            delta, why = {"role": "assistant", "tool_calls": [function]}, "tool_calls"
        else:
            delta, why = {"role": "assistant", "content": self.answer}, "stop"
        self.asked.append(Asked("chat", arrived_at, self.clock(), said))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for choice in ({"delta": delta}, {"delta": {}, "finish_reason": why}):
            await response.write(f"data: {json.dumps(_chunk(choice))}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        arrived_at = self.clock()
        text = (await request.json())["input"]
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        self.asked.append(Asked("speech", arrived_at, self.clock(), text))
        at = np.arange(round(len(text.split()) * SECONDS_A_WORD * RATE))
        pcm = (0.2 * 32767 * np.sin(2 * np.pi * ANSWER_HZ * at / RATE)).astype("<i2")
        for begin in range(0, len(pcm), _PIECE):
            await response.write(pcm[begin : begin + _PIECE].tobytes())
            await asyncio.sleep(0)
        return response


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def _chunk(choice: dict[str, Any]) -> dict[str, Any]:
    whole = {"index": 0, "finish_reason": None} | choice
    return {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "none", "choices": [whole]}
