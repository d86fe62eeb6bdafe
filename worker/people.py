"""Who is heard: the first person in the room, for as long as they stay. Other agents are not people."""

import asyncio
from collections.abc import AsyncIterator

from livekit import rtc

PEOPLE = (
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
    rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
)


class FirstCaller:
    """Finds the first person, subscribes to what they say, and knows when they have left.

    Build it as soon as the room is connected.
    """

    def __init__(self, room: rtc.Room) -> None:
        self._caller: rtc.RemoteParticipant | None = None
        self._tracks: asyncio.Queue[rtc.Track] = asyncio.Queue()
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        room.on("participant_connected", self._on_connected)
        room.on("participant_disconnected", self._on_disconnected)
        room.on("track_published", self._on_published)
        room.on("track_subscribed", self._on_subscribed)
        for participant in sorted(room.remote_participants.values(), key=_joined_at):
            self._on_connected(participant)

    async def tracks(self) -> AsyncIterator[rtc.Track]:
        """The caller's microphone, again each time it is published anew."""
        while True:
            yield await self._tracks.get()

    def _on_connected(self, participant: rtc.RemoteParticipant) -> None:
        if self._caller is not None or participant.kind not in PEOPLE:
            return
        self._caller = participant
        self.arrived.set()
        for publication in participant.track_publications.values():
            self._subscribe(publication)

    def _on_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if self._is_caller(participant):
            self.left.set()

    def _on_published(
        self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if self._is_caller(participant):
            self._subscribe(publication)

    def _on_subscribed(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if self._is_caller(participant) and _is_voice(publication):
            self._tracks.put_nowait(track)

    def _is_caller(self, participant: rtc.RemoteParticipant) -> bool:
        return self._caller is not None and participant.identity == self._caller.identity

    def _subscribe(self, publication: rtc.RemoteTrackPublication) -> None:
        if _is_voice(publication):
            publication.set_subscribed(True)


def _is_voice(publication: rtc.RemoteTrackPublication) -> bool:
    """Sound, but not that of a shared screen."""
    return (
        publication.kind == rtc.TrackKind.KIND_AUDIO
        and publication.source != rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO
    )


def _joined_at(participant: rtc.RemoteParticipant) -> float:
    return participant.joined_at.timestamp() if participant.joined_at else 0.0
