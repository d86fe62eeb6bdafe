"""Somebody in a room who speaks a recording and keeps what comes back: for `worker call` and for tests."""

import asyncio
import json
import math
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
from worker.caller.microphone import PIECE_S, PIECE_SAMPLES, Clock, Microphone
from worker.caller.microphone import SPEAKING_RATE as SPEAKING_RATE
from worker.conversation import latency
from worker.room.people import HANG_UP_TOPIC
from worker.settings import LiveKitSettings
from worker.signs import agent_state, transcript
from worker.tokens import caller_token

AGENT_TIMEOUT_S = 10.0


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

    def __init__(self, room: rtc.Room, on_text: Callable[[str], None], clock: Clock = time.monotonic) -> None:
        self.segments: list[Segment] = []
        """The model's words."""
        self.captions: dict[str, str] = {}
        """Those of people so far, by their identities, where the agent writes them down."""
        self.states: list[str] = []
        self.latencies: list[dict[str, int]] = []
        """What the agent told of how late its answers were, see `CallLatency`."""
        self.agent_left = asyncio.Event()
        self.first_frame_at: float | None = None
        """When the first piece of the agent's track came, as the clock tells it."""
        self.room = room
        self._on_text = on_text
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeps = False
        self._heard: list[tuple[float, NDArray[np.int16]]] = []
        self._agent_track: asyncio.Future[rtc.Track] = asyncio.get_running_loop().create_future()
        self._listening: asyncio.Task[None] | None = None
        self._microphone: Microphone | None = None
        self._published: rtc.LocalTrackPublication | None = None
        room.on("track_subscribed", self._on_track)
        room.on("participant_attributes_changed", self._on_attributes)
        room.on("participant_disconnected", self._on_left)
        room.on("disconnected", lambda _reason: self.agent_left.set())
        room.register_text_stream_handler(transcript.TOPIC, self._on_text_stream)
        room.register_text_stream_handler(latency.TOPIC, self._on_latency)

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
            await caller._hang_up()
            await room.disconnect()
            for task in caller._tasks:
                task.cancel()
            await asyncio.gather(*caller._tasks, return_exceptions=True)

    async def wait_for_agent(self, timeout_s: float = AGENT_TIMEOUT_S) -> None:
        """Wait until an agent can be heard and hears us. Raises NoAgent."""
        assert self._published is not None
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._agent_track)
                await self._published.wait_for_subscription()
        except TimeoutError:
            raise NoAgent(timeout_s) from None

    async def say(self, pcm: NDArray[np.int16], at: float | None = None) -> None:
        """Speak int16 [N] at SPEAKING_RATE in real time, from `at` on as the clock tells it, or from now on.

        From the first sample on, the answer is kept.
        """
        assert self._microphone is not None
        self._heard.clear()
        self._keeps = True
        self._microphone.say(pcm, at)
        await self._microphone.wait_until_said()

    @property
    def agent_attributes(self) -> dict[str, str]:
        """What the agent tells the room about itself, nothing while there is none."""
        agents = [person for person in self.room.remote_participants.values() if _is_agent(person)]
        return dict(agents[0].attributes) if agents else {}

    @property
    def heard(self) -> NDArray[np.int16]:
        """What came back since `say` began, int16 [N] at 24 kHz."""
        began_at = self.out_at[0] if self.out_at else math.inf
        # Of the piece that was on its way when we began, what came after counts.
        kept = [pcm[max(0, _samples(began_at - at) + len(pcm)) :] for at, pcm in self._heard]
        return np.concatenate([np.zeros(0, np.int16), *kept])

    @property
    def pieces(self) -> list[tuple[float, NDArray[np.int16]]]:
        """What has come since `say` was called, with the time when it came: int16 [480] at 24 kHz each."""
        return list(self._heard)

    @property
    def out_at(self) -> list[float]:
        """When each PIECE_S of what was said went out."""
        return self._microphone.out_at if self._microphone else []

    @property
    def due_at(self) -> float:
        """When what was said was to begin: late, then, is what goes out later than its place from there."""
        return self._microphone.due_at if self._microphone else 0.0

    async def stats(self) -> rtc.RtcStats:
        """What WebRTC has counted. The SDK has no error narrower than RuntimeError."""
        return await self.room.get_rtc_stats()

    def spoken_at(self, sample: int) -> float:
        """When this sample of what was said went out, in seconds since the first: late after a stall."""
        into_s = sample % PIECE_SAMPLES / SPEAKING_RATE
        return self.out_at[sample // PIECE_SAMPLES] - self.out_at[0] + into_s

    async def _publish(self) -> None:
        self._microphone, self._published = await Microphone.publish(self.room)
        self._start(self._microphone.run())

    async def _hang_up(self) -> None:
        """Else the agent would wait for us, as for somebody whose network is gone."""
        with suppress(rtc.participant.PublishDataError):
            if self.room.isconnected():
                await self.room.local_participant.publish_data(b"", topic=HANG_UP_TOPIC)

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(
            track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=round(PIECE_S * 1000)
        )
        try:
            async for event in stream:
                now = self._clock()
                self.first_frame_at = self.first_frame_at or now
                if self._keeps:
                    self._heard.append((now, np.frombuffer(event.frame.data, np.int16).copy()))
        finally:
            await stream.aclose()

    def _on_track(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and _is_agent(participant):
            if not self._agent_track.done():
                self._agent_track.set_result(track)
            if self._listening is not None:
                # After a reconnect of either side there is another one.
                self._listening.cancel()
            self._listening = self._start(self._listen(track))

    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if _is_agent(participant) and agent_state.ATTRIBUTE in changed:
            self.states.append(changed[agent_state.ATTRIBUTE])

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if _is_agent(participant):
            self.agent_left.set()

    def _on_text_stream(self, reader: rtc.TextStreamReader, identity: str) -> None:
        person = self.room.remote_participants.get(identity)
        is_of_a_person = identity == self.room.local_participant.identity or (
            person is not None and not _is_agent(person)
        )
        self._start(self._read_caption(reader, identity) if is_of_a_person else self._read(reader))

    async def _read_caption(self, reader: rtc.TextStreamReader, identity: str) -> None:
        with suppress(rtc.StreamError):
            async for piece in reader:
                self.captions[identity] = self.captions.get(identity, "") + piece

    def _on_latency(self, reader: rtc.TextStreamReader, _identity: str) -> None:
        self._start(self._read_latency(reader))

    async def _read_latency(self, reader: rtc.TextStreamReader) -> None:
        with suppress(rtc.StreamError):
            self.latencies.append(json.loads(await reader.read_all()))

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

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def new_room() -> str:
    """A name that no other room has."""
    return f"call-{uuid.uuid4().hex[:8]}"


def token(settings: LiveKitSettings, room_name: str, identity: str = "") -> str:
    """A token for one caller in one room, which asks for the named agent if there is a name.

    identity: who they are; "" for somebody who was never there before.
    """
    made = caller_token(settings, room_name, identity or f"caller-{uuid.uuid4().hex[:8]}")
    if settings.livekit_agent_name:
        dispatch = api.RoomAgentDispatch(agent_name=settings.livekit_agent_name)
        made = made.with_room_config(api.RoomConfiguration(agents=[dispatch]))
    return made.to_jwt()


def _samples(seconds: float) -> int:
    return round(min(seconds, 1.0) * SAMPLE_RATE)


def _is_agent(participant: rtc.Participant) -> bool:
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
