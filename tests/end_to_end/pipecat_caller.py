"""A client of a Pipecat pipeline, with Pipecat's own messages: pipecat_caller.py ws://... said.wav heard.wav

It prints what the bot says in words, and hangs up once a sentence is over.
"""

import asyncio
import sys
import wave

from pipecat.frames.frames import InputAudioRawFrame, InputTransportMessageFrame, OutputAudioRawFrame
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from websockets.asyncio.client import ClientConnection, connect

PIECE_BYTES = 2 * 480  # 20 ms
TRIES = 300


async def reach(url: str) -> ClientConnection:
    """The bot's process may still begin."""
    for _ in range(TRIES):
        try:
            return await connect(url)
        except OSError:
            await asyncio.sleep(0.1)
    raise SystemExit(f"nobody at {url}")


async def speak(socket: ClientConnection, pcm: bytes) -> None:
    """As a microphone would, and silence from then on."""
    serializer = ProtobufFrameSerializer()
    while True:
        for at in range(0, len(pcm) - PIECE_BYTES + 1, PIECE_BYTES):
            # What a client sends is of the type that a bot sends.
            piece = OutputAudioRawFrame(pcm[at : at + PIECE_BYTES], 24_000, 1)
            payload = await serializer.serialize(piece)
            assert payload is not None
            await socket.send(payload)
            await asyncio.sleep(0.02)
        pcm = bytes(50 * PIECE_BYTES)


async def converse(url: str, said: str, heard: str) -> None:
    """Speak one recording, write what comes back."""
    with wave.open(said) as recording:
        pcm = recording.readframes(recording.getnframes())
    serializer, answer, words = ProtobufFrameSerializer(), b"", ""
    socket = await reach(url)
    speaking = asyncio.create_task(speak(socket, pcm))
    async for message in socket:
        frame = await serializer.deserialize(message)
        if isinstance(frame, InputAudioRawFrame):
            answer += frame.audio
        elif isinstance(frame, InputTransportMessageFrame):
            kind = frame.message["type"]
            if kind == "bot-llm-text":
                words += frame.message["data"]["text"]
            elif kind == "bot-stopped-speaking" and words.endswith("."):
                break
    speaking.cancel()
    await socket.close()
    with wave.open(heard, "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(answer)
    sys.stdout.write(words)


asyncio.run(converse(*sys.argv[1:]))
