"""The engine in plain Python: python examples/session.py ws://127.0.0.1:8998 said.wav heard.wav"""

import asyncio
import json
import sys
import wave

import aiohttp


async def converse(url: str, said: str, heard: str) -> None:
    """Speak one recording, 16 bits, mono, 24 kHz, and two seconds of silence; write what comes back."""
    with wave.open(said) as microphone, wave.open(heard, "wb") as speakers:
        speakers.setparams(microphone.getparams())
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/session?seed=1") as socket:
            for _ in range(microphone.getnframes() // 1920 + 25):  # frames of 80 ms
                await socket.send_bytes(microphone.readframes(1920).ljust(3840, b"\0"))
                while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                    print(json.loads(message.data).get("piece", ""), end="", flush=True)
                speakers.writeframes(message.data[16:])  # behind the number of its frame, times, flags
                await asyncio.sleep(0.08)  # a microphone would send without waiting for the answer
            await socket.send_json({"type": "end"})


asyncio.run(converse(*sys.argv[1:]))
