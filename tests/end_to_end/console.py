"""The other end of LiveKit's console, as `lk agent console` is one: a microphone and speakers."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from livekit.protocol.agent_pb import agent_session
from numpy.typing import NDArray

RATE = 48_000
_PIECE_S = 0.02
_PIECE = round(RATE * _PIECE_S)
_Message = agent_session.AgentSessionMessage
_Sound = _Message.ConsoleIO.AudioFrame


class Console:
    """Speaks once somebody has connected to `port`, and keeps what they say."""

    def __init__(self) -> None:
        self.port = 0
        self.states: list[str] = []
        """Of the agent, as it tells them."""
        self._heard: list[NDArray[np.int16]] = []
        self._writer: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Console"]:
        """One that waits for an agent until the block is left."""
        console = cls()
        server = await asyncio.start_server(console._serve, "127.0.0.1", 0)
        console.port = server.sockets[0].getsockname()[1]
        try:
            yield console
        finally:
            server.close()
            if console._writer.done():
                console._writer.result().close()

    @property
    def heard(self) -> NDArray[np.int16]:
        """All that was to be played, int16 [N] at RATE."""
        return np.concatenate([np.zeros(0, np.int16), *self._heard])

    async def say(self, pcm: NDArray[np.int16]) -> None:
        """Speak int16 [N] at RATE in real time."""
        writer = await self._writer
        began_at = asyncio.get_running_loop().time()
        for number, at in enumerate(range(0, len(pcm), _PIECE), start=1):
            piece = pcm[at : at + _PIECE]
            sound = _Sound(
                data=piece.tobytes(), sample_rate=RATE, num_channels=1, samples_per_channel=len(piece)
            )
            _send(writer, _Message(audio_input=sound))
            await asyncio.sleep(max(0.0, began_at + number * _PIECE_S - asyncio.get_running_loop().time()))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer.set_result(writer)
        while not reader.at_eof():
            try:
                (length,) = struct.unpack(">I", await reader.readexactly(4))
                message = _Message.FromString(await reader.readexactly(length))
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            self._take(writer, message)

    def _take(self, writer: asyncio.StreamWriter, message: agent_session.AgentSessionMessage) -> None:
        match message.WhichOneof("message"):
            case "audio_output":
                self._heard.append(np.frombuffer(message.audio_output.data, np.int16))
            case "audio_playback_flush":
                _send(writer, _Message(audio_playback_finished=_Message.ConsoleIO.AudioPlaybackFinished()))
            case "event" if message.event.WhichOneof("event") == "agent_state_changed":
                state = message.event.agent_state_changed.new_state
                self.states.append(agent_session.AgentState.Name(state))


def _send(writer: asyncio.StreamWriter, message: agent_session.AgentSessionMessage) -> None:
    data = message.SerializeToString()
    writer.write(struct.pack(">I", len(data)) + data)
