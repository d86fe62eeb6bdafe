"""The engine in plain Python: python examples/session.py ws://127.0.0.1:8998 said.wav heard.wav"""

import asyncio
import json
import sys
import wave

import aiohttp

FRAME_BYTES = 2 * 1920  # 80 ms of 16-bit samples, mono, at 24 kHz
HEADER_BYTES = 16  # of each answer: the number of its frame, times, flags
SILENCE = bytes(25 * FRAME_BYTES)


async def converse(url: str, said: str, heard: str) -> None:
    """Speak one recording in real time, write what comes back."""
    with wave.open(said) as recording:
        pcm = recording.readframes(recording.getnframes()) + SILENCE
    whole = len(pcm) // FRAME_BYTES * FRAME_BYTES
    frames = [pcm[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]
    answers: list[bytes] = []
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/session?seed=1") as socket:
        speaking = asyncio.create_task(speak(socket, frames))
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                answers.append(message.data[HEADER_BYTES:])
                if len(answers) == len(frames):
                    await socket.send_str('{"type": "end"}')
            elif (event := json.loads(message.data))["type"] == "text":
                print(event["piece"], end="", flush=True)
        await speaking
    with wave.open(heard, "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(b"".join(answers))


async def speak(socket: aiohttp.ClientWebSocketResponse, frames: list[bytes]) -> None:
    """As a microphone would."""
    for frame in frames:
        await socket.send_bytes(frame)
        await asyncio.sleep(0.08)


asyncio.run(converse(*sys.argv[1:]))
