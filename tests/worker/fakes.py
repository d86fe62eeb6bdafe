"""A room, the people in it and a sound card, for a call that never leaves the process."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc

from engine.protocol import FRAME_BYTES


@dataclass
class FakeTrack:
    """What somebody says: `frames` given to `say`, until `end`."""

    kind: int = rtc.TrackKind.KIND_AUDIO
    frames: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)

    def say(self, *frames: bytes) -> None:
        for frame in frames:
            self.frames.put_nowait(frame)

    def end(self) -> None:
        self.frames.put_nowait(None)

    async def get_stats(self) -> list[object]:
        return []


@dataclass
class FakePublication:
    track: FakeTrack = field(default_factory=FakeTrack)
    source: int = rtc.TrackSource.SOURCE_MICROPHONE
    sid: str = "TR_agent"
    subscribed: bool = False

    @property
    def kind(self) -> int:
        return self.track.kind

    def set_subscribed(self, subscribed: bool) -> None:
        self.subscribed = subscribed


@dataclass
class FakePerson:
    identity: str
    kind: int = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
    joined_at: datetime | None = None
    track_publications: dict[str, FakePublication] = field(default_factory=dict)

    def joined(self, second: int) -> "FakePerson":
        self.joined_at = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
        return self


@dataclass
class FakeStreamWriter:
    """One text stream: what was written, and the attributes it was opened and closed with."""

    opened: dict[str, str]
    text: str = ""
    closed: dict[str, str] | None = None

    async def write(self, text: str) -> None:
        self.text += text

    async def aclose(self, *, attributes: dict[str, str]) -> None:
        self.closed = attributes


@dataclass
class FakeMe:
    """Our own participant."""

    segments: list[FakeStreamWriter] = field(default_factory=list)
    attributes: list[dict[str, str]] = field(default_factory=list)
    published: list[rtc.TrackPublishOptions] = field(default_factory=list)

    async def publish_track(self, _track: object, options: rtc.TrackPublishOptions) -> FakePublication:
        self.published.append(options)
        return FakePublication()

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        self.attributes.append(attributes)

    @property
    def shown(self) -> dict[str, str]:
        """What everybody in the room sees now."""
        return {name: value for shown in self.attributes for name, value in shown.items()}

    @property
    def states(self) -> list[str]:
        return [shown["lk.agent.state"] for shown in self.attributes if "lk.agent.state" in shown]

    async def stream_text(self, *, topic: str, attributes: dict[str, str]) -> FakeStreamWriter:
        assert topic == "lk.transcription"
        self.segments.append(FakeStreamWriter(attributes))
        return self.segments[-1]


class FakeRoom(rtc.EventEmitter[str]):
    def __init__(self, *people: FakePerson) -> None:
        super().__init__()
        self.remote_participants = {person.identity: person for person in people}
        self.local_participant = FakeMe()

    def isconnected(self) -> bool:
        return True

    def enter(self, person: FakePerson) -> None:
        self.remote_participants[person.identity] = person
        self.emit("participant_connected", person)

    def speak(self, person: FakePerson, publication: FakePublication | None = None) -> FakeTrack:
        """Publish a microphone; the server delivers it if somebody subscribes."""
        publication = publication or FakePublication()
        person.track_publications["TR"] = publication
        self.emit("track_published", publication, person)
        if publication.subscribed:
            self.emit("track_subscribed", publication.track, publication, person)
        return publication.track

    def leave(self, person: FakePerson) -> None:
        del self.remote_participants[person.identity]
        self.emit("participant_disconnected", person)


class FakeSource:
    """Plays at once: what was captured is in `played`."""

    def __init__(self) -> None:
        self.played: list[bytes] = []
        self.queued_duration = 0.0
        self.closed = False

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        self.played.append(bytes(frame.data.cast("B")))

    async def aclose(self) -> None:
        self.closed = True


class FakeStream:
    """`rtc.AudioStream` of a FakeTrack."""

    def __init__(self, track: FakeTrack, **options: Any) -> None:
        assert options == {"sample_rate": 24_000, "num_channels": 1, "frame_size_ms": 80}
        self._track = track

    async def __aiter__(self) -> AsyncIterator[SimpleNamespace]:
        while (pcm := await self._track.frames.get()) is not None:
            yield SimpleNamespace(frame=rtc.AudioFrame(pcm, 24_000, 1, FRAME_BYTES // 2))

    async def aclose(self) -> None:
        pass


@pytest.fixture
def sound_card(monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """Every track that is published plays on this."""
    source = FakeSource()
    monkeypatch.setattr(rtc, "AudioSource", lambda *args, **options: source)
    monkeypatch.setattr(rtc, "AudioStream", FakeStream)
    monkeypatch.setattr(rtc.LocalAudioTrack, "create_audio_track", lambda name, source: None)
    return source
