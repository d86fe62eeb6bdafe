"""A room, the people in it and a sound card, for a call that never leaves the process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.rtc._proto.stats_pb2 import RtcStats

from engine.protocol import FRAME_BYTES


@dataclass
class FakeTrack:
    """What somebody says: `frames` given to `say`, until `end`. packet_at: when the last packet came, in
    monotonic seconds, if that is to be known.
    """

    kind: int = rtc.TrackKind.KIND_AUDIO
    packet_at: float | None = None
    sid: str = "TR_mic"
    frames: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)

    def say(self, *frames: bytes) -> None:
        for frame in frames:
            self.frames.put_nowait(frame)

    def end(self) -> None:
        self.frames.put_nowait(None)

    async def get_stats(self) -> list[RtcStats]:
        if self.packet_at is None:
            return []
        stats = RtcStats()
        stats.inbound_rtp.rtc.timestamp = round(1e6 * time.monotonic())
        stats.inbound_rtp.inbound.last_packet_received_timestamp = 1e3 * self.packet_at
        return [stats]


@dataclass
class FakePublication:
    track: FakeTrack = field(default_factory=FakeTrack)
    source: int = rtc.TrackSource.SOURCE_MICROPHONE
    sid: str = "TR_agent"
    subscribed: bool = False
    unheard: bool = False
    muted: bool = False
    deliver: Callable[[], None] = lambda: None

    @property
    def kind(self) -> int:
        return self.track.kind

    async def wait_for_subscription(self) -> None:
        if self.unheard:
            await asyncio.Event().wait()

    def set_subscribed(self, subscribed: bool) -> None:
        if subscribed and not self.subscribed:
            self.subscribed = True
            self.deliver()


@dataclass
class FakePerson:
    identity: str
    kind: int = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
    joined_at: datetime | None = None
    disconnect_reason: int | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    name: str = ""
    track_publications: dict[str, FakePublication] = field(default_factory=dict)
    permissions: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(can_update_metadata=False))

    def joined(self, second: int) -> "FakePerson":
        self.joined_at = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
        return self


@dataclass
class FakeStreamWriter:
    """One text stream: what was written, to whom if not to all, and the attributes it was opened and closed
    with.
    """

    opened: dict[str, str]
    text: str = ""
    to: tuple[str, ...] = ()
    sender: str | None = None
    closed: dict[str, str] | None = None

    async def write(self, text: str) -> None:
        self.text += text

    async def aclose(self, *, attributes: dict[str, str]) -> None:
        self.closed = attributes


@dataclass
class FakeMe:
    """Our own participant. `refuses`: the room takes no track of ours; `unheard`: nobody subscribes to it."""

    identity: str = "agent"
    refuses: bool = False
    unheard: bool = False
    permissions: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(can_publish=True))
    segments: list[FakeStreamWriter] = field(default_factory=list)
    attributes: list[dict[str, str]] = field(default_factory=list)
    published: list[rtc.TrackPublishOptions] = field(default_factory=list)
    latencies: list[str] = field(default_factory=list)
    unpublished: list[str] = field(default_factory=list)
    permitted: dict[str, list[str]] | None = None

    async def publish_track(self, _track: object, options: rtc.TrackPublishOptions) -> FakePublication:
        if self.refuses:
            raise rtc.participant.PublishTrackError("not allowed")
        self.published.append(options)
        number = len(self.published)
        return FakePublication(sid="TR_agent" if number == 1 else f"TR_agent{number}", unheard=self.unheard)

    async def unpublish_track(self, sid: str) -> None:
        self.unpublished.append(sid)

    def set_track_subscription_permissions(
        self,
        *,
        allow_all_participants: bool,
        participant_permissions: Sequence[rtc.ParticipantTrackPermission],
    ) -> None:
        assert not allow_all_participants
        self.permitted = {
            each.participant_identity: list(each.allowed_track_sids) for each in participant_permissions
        }

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        self.attributes.append(attributes)

    @property
    def shown(self) -> dict[str, str]:
        """What everybody in the room sees now."""
        return {name: value for shown in self.attributes for name, value in shown.items()}

    @property
    def states(self) -> list[str]:
        return [shown["lk.agent.state"] for shown in self.attributes if "lk.agent.state" in shown]

    async def send_text(self, text: str, *, topic: str, destination_identities: Sequence[str] = ()) -> None:
        assert topic == "moshi.latency"
        self.latencies.append(text)

    async def stream_text(
        self,
        *,
        topic: str,
        attributes: dict[str, str],
        destination_identities: Sequence[str] = (),
        sender_identity: str | None = None,
    ) -> FakeStreamWriter:
        assert topic == "lk.transcription"
        to = tuple(destination_identities)
        self.segments.append(FakeStreamWriter(attributes, to=to, sender=sender_identity))
        return self.segments[-1]


class FakeRoom(rtc.EventEmitter[str]):
    name = "lobby"

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
        published = publication or FakePublication()
        published.deliver = lambda: self.emit("track_subscribed", published.track, published, person)
        person.track_publications["TR"] = published
        self.emit("track_published", published, person)
        return published.track

    def fall_silent(self, person: FakePerson) -> None:
        """Take the microphone back. What was said on it does not end, as with the SDK."""
        published = person.track_publications.pop("TR")
        self.emit("track_unsubscribed", published.track, published, person)

    def leave(self, person: FakePerson, reason: int | None = rtc.DisconnectReason.CLIENT_INITIATED) -> None:
        """reason: None where the SDK takes them out because our own connection was lost."""
        del self.remote_participants[person.identity]
        person.disconnect_reason = reason
        self.emit("participant_disconnected", person)

    def come_back(self, person: FakePerson) -> FakePerson:
        """The same identity over another connection, which the SDK shows as somebody else."""
        again = FakePerson(person.identity, person.kind)
        self.enter(again)
        return again

    def permit(self, can_publish: bool) -> None:
        """Allow or forbid us to publish."""
        self.local_participant.permissions.can_publish = can_publish
        self.emit("participant_permissions_changed", self.local_participant, None)

    def hang_up(self, person: FakePerson) -> None:
        """Say that one leaves for good."""
        packet = SimpleNamespace(participant=person, topic="moshi.hang_up", data=b"")
        self.emit("data_received", packet)


@dataclass
class FakeSwitchboard:
    """Nothing comes of a transfer until it is `let_go`."""

    hung_up: list[str] = field(default_factory=list)
    transferred: list[str] = field(default_factory=list)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def hang_up(self, identity: str) -> None:
        self.hung_up.append(identity)

    async def transfer(self, identity: str) -> None:
        self.transferred.append(identity)
        await self.let_go.wait()


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
