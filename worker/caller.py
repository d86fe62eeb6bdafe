"""Somebody in a room who speaks a recording and keeps what comes back: for `worker call` and for tests."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from livekit import api, rtc
from numpy.typing import NDArray

from engine.errors import EngineError, Refused
from engine.step.frames import SAMPLE_RATE
from worker import agent_state, transcript
from worker.settings import LiveKitSettings
from worker.tokens import caller_token

SPEAKING_RATE = 48_000
AGENT_TIMEOUT_S = 10.0
_PIECE_S = 0.02
_PIECE_SAMPLES = round(SPEAKING_RATE * _PIECE_S)
_QUEUE_MS = 200


class NoAgent(Refused):
    """Nobody took the call."""

    def __init__(self, waited_s: float) -> None:
        super().__init__(
            f"no agent came within {waited_s:g} s: is a worker running for this LiveKit server, has its "
            "engine a free seat, and does LIVEKIT_AGENT_NAME say the same on both sides?"
        )


class NoConnection(EngineError):
    """The LiveKit server let the caller in, but no sound can pass."""

    def __init__(self, url: str, error: rtc.ConnectError) -> None:
        reason = " ".join(error.message.split())
        super().__init__(
            f"no connection to a room at {url} ({reason}): do the ports that the server "
            "uses for media, which its configuration names, let us through?"
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """One text stream of the model's words; `final` says that it was ended properly."""

    text: str
    final: bool
    track_sid: str


class Caller:
    """In a room, with a microphone that is silent until `say`. Made by `join`."""

    def __init__(
        self, room: rtc.Room, on_text: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.segments: list[Segment] = []
        self.states: list[str] = []
        self.agent_left = asyncio.Event()
        self._room = room
        self._on_text = on_text
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_say: NDArray[np.int16] = np.zeros(0, np.int16)
        self._said = asyncio.Event()
        self._began_at: float | None = None
        self._heard: list[NDArray[np.int16]] = []
        self._spoken_at: list[float] = []
        self._agent_track: asyncio.Future[rtc.Track] = asyncio.get_running_loop().create_future()
        self._microphone: rtc.LocalTrackPublication | None = None
        room.on("track_subscribed", self._on_track)
        room.on("participant_attributes_changed", self._on_attributes)
        room.on("participant_disconnected", self._on_left)
        room.on("disconnected", lambda _reason: self.agent_left.set())
        room.register_text_stream_handler(transcript.TOPIC, self._on_text_stream)

    @classmethod
    @asynccontextmanager
    async def join(
        cls, settings: LiveKitSettings, room_name: str, on_text: Callable[[str], None] = lambda text: None
    ) -> AsyncIterator["Caller"]:
        """A caller in the room until the block is left. An agent that has a name is called by it.

        Raises NoConnection.
        """
        async with cls.enter(settings.livekit_url, token(settings, room_name), on_text) as caller:
            yield caller

    @classmethod
    @asynccontextmanager
    async def enter(
        cls, url: str, token: str, on_text: Callable[[str], None] = lambda text: None
    ) -> AsyncIterator["Caller"]:
        """A caller in the room that the token names until the block is left. Raises NoConnection."""
        room = rtc.Room()
        caller = cls(room, on_text)
        try:
            await room.connect(url, token)
        except rtc.ConnectError as error:
            raise NoConnection(url, error) from None
        try:
            await caller._publish()
            yield caller
        finally:
            await room.disconnect()
            for task in caller._tasks:
                task.cancel()
            await asyncio.gather(*caller._tasks, return_exceptions=True)

    async def wait_for_agent(self, timeout_s: float = AGENT_TIMEOUT_S) -> None:
        """Wait until an agent can be heard and hears us. Raises NoAgent."""
        assert self._microphone is not None
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._agent_track)
                await self._microphone.wait_for_subscription()
        except TimeoutError:
            raise NoAgent(timeout_s) from None

    async def say(self, pcm: NDArray[np.int16]) -> None:
        """Speak int16 [N] at SPEAKING_RATE in real time. From its first sample on, the answer is kept."""
        self._heard.clear()
        self._spoken_at.clear()
        self._began_at = None
        self._said.clear()
        self._to_say = pcm
        await self._said.wait()

    @property
    def agent_attributes(self) -> dict[str, str]:
        """What the agent tells the room about itself, nothing while there is none."""
        agents = [person for person in self._room.remote_participants.values() if _is_agent(person)]
        return dict(agents[0].attributes) if agents else {}

    @property
    def heard(self) -> NDArray[np.int16]:
        """What came back since `say` began, int16 [N] at 24 kHz."""
        return np.concatenate([np.zeros(0, np.int16), *self._heard])

    def spoken_at(self, sample: int) -> float:
        """When this sample of what was said went out, in seconds since the first: late after a stall."""
        return self._spoken_at[sample // _PIECE_SAMPLES] + sample % _PIECE_SAMPLES / SPEAKING_RATE

    async def _publish(self) -> None:
        source = rtc.AudioSource(SPEAKING_RATE, 1, queue_size_ms=_QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        self._microphone = await self._room.local_participant.publish_track(track, options)
        self._start(self._speak(source))

    async def _speak(self, source: rtc.AudioSource) -> None:
        next_at = self._clock()
        while True:
            piece, self._to_say = self._to_say[:_PIECE_SAMPLES], self._to_say[_PIECE_SAMPLES:]
            if len(piece):
                self._began_at = self._clock() if self._began_at is None else self._began_at
                self._spoken_at.append(self._clock() - self._began_at)
            sound = np.zeros(_PIECE_SAMPLES, np.int16)
            sound[: len(piece)] = piece
            await source.capture_frame(rtc.AudioFrame(sound.tobytes(), SPEAKING_RATE, 1, _PIECE_SAMPLES))
            if self._began_at is not None and not len(self._to_say):
                self._said.set()
            # After a stall we go on from here: what we would catch up with now would stay in the queue.
            next_at = max(next_at + _PIECE_S, self._clock())
            await asyncio.sleep(next_at - self._clock())

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(
            track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=round(_PIECE_S * 1000)
        )
        async for event in stream:
            if self._began_at is not None:
                pcm = np.frombuffer(event.frame.data, np.int16)
                # The piece that was on its way when we began: what of it came after counts.
                since = len(pcm) if self._heard else round((self._clock() - self._began_at) * SAMPLE_RATE)
                self._heard.append(pcm[max(0, len(pcm) - since) :].copy())

    def _on_track(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and _is_agent(participant) and not self._agent_track.done():
            self._agent_track.set_result(track)
            self._start(self._listen(track))

    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if _is_agent(participant) and agent_state.ATTRIBUTE in changed:
            self.states.append(changed[agent_state.ATTRIBUTE])

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if _is_agent(participant):
            self.agent_left.set()

    def _on_text_stream(self, reader: rtc.TextStreamReader, _identity: str) -> None:
        self._start(self._read(reader))

    async def _read(self, reader: rtc.TextStreamReader) -> None:
        text = ""
        # The call may end within a segment.
        with suppress(rtc.StreamError):
            async for piece in reader:
                text += piece
                self._on_text(piece)
        self._on_text("\n")
        attributes = reader.info.attributes or {}
        final = attributes.get("lk.transcription_final") == "true"
        self.segments.append(Segment(text, final, attributes.get("lk.transcribed_track_id", "")))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def new_room() -> str:
    """A name that no other room has."""
    return f"call-{uuid.uuid4().hex[:8]}"


def token(settings: LiveKitSettings, room_name: str) -> str:
    """A token for one caller in one room, which asks for the named agent if there is a name."""
    identity = f"caller-{uuid.uuid4().hex[:8]}"
    made = caller_token(settings, room_name, identity)
    if settings.livekit_agent_name:
        dispatch = api.RoomAgentDispatch(agent_name=settings.livekit_agent_name)
        made = made.with_room_config(api.RoomConfiguration(agents=[dispatch]))
    return made.to_jwt()


def _is_agent(participant: rtc.Participant) -> bool:
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
