"""Who is in the room: who came, who is away, who came back and who has left. Other agents are not people."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from livekit import rtc

HANG_UP_TOPIC = "moshi.hang_up"
"""A data packet with this topic says that its sender leaves for good."""
AWAY_AFTER_S = 1.0
_CALL_STATUS = "sip.callStatus"
_RINGS = ("dialing", "ringing", "automation")
_PEOPLE = (
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
    rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
)
# Somebody saw to it that they are out of the room: no network did that.
_FOR_GOOD = (
    rtc.DisconnectReason.PARTICIPANT_REMOVED,
    rtc.DisconnectReason.USER_REJECTED,
    rtc.DisconnectReason.USER_UNAVAILABLE,
)


class Person:
    """Somebody, through all their connections: an identity, and the tracks of their voice."""

    def __init__(self, participant: rtc.RemoteParticipant) -> None:
        self.participant = participant
        self.is_here = True
        self._is_listened_to = False
        self._news = asyncio.Event()
        self._heard: list[rtc.Track] = []
        self._tracks: asyncio.Queue[rtc.Track | None] = asyncio.Queue()
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def identity(self) -> str:
        """The name that their token gave them."""
        return self.participant.identity

    def listen(self) -> None:
        """Subscribe to their voice, now and whenever they publish it."""
        self._is_listened_to = True
        for publication in self.participant.track_publications.values():
            self.published(publication)

    def listen_again(self) -> None:
        """Ask anew for what was asked for, and has not come."""
        for publication in self.participant.track_publications.values():
            if not publication.subscribed:
                self.published(publication)

    async def track(self) -> rtc.Track | None:
        """Wait for their microphone, and then until it is another one, or none any more."""
        return await self._tracks.get()

    async def answered(self) -> None:
        """Wait until their telephone does not ring any more, if it does: livekit-sip tells."""
        while self.participant.attributes.get(_CALL_STATUS) in _RINGS:
            self._news.clear()
            await self._news.wait()

    def has_news(self) -> None:
        """Their attributes may be others."""
        self._news.set()

    def published(self, publication: rtc.RemoteTrackPublication) -> None:
        """They have published this."""
        if self._is_listened_to and _is_voice(publication):
            publication.set_subscribed(True)

    def subscribed(self, track: rtc.Track, publication: rtc.RemoteTrackPublication) -> None:
        """This can be heard."""
        if self._is_listened_to and _is_voice(publication):
            self._heard.append(track)
            self._tracks.put_nowait(track)

    def unsubscribed(self, track: rtc.Track) -> None:
        """This can be heard no more. The SDK does not say so to who reads it."""
        if track in self._heard:
            self._heard.remove(track)
            self._tracks.put_nowait(self._heard[-1] if self._heard else None)

    def connected(self, participant: rtc.RemoteParticipant) -> None:
        """They are here again, over another connection."""
        self._stop_timers()
        self.participant, self.is_here = participant, True
        self.has_news()
        if self._is_listened_to:
            self.listen()

    def disconnected(self, *timers: asyncio.TimerHandle) -> None:
        """They are not here. `timers` are for when they come back."""
        self._stop_timers()
        self.is_here, self._timers = False, list(timers)

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []


@dataclass(frozen=True, slots=True)
class Arrived:
    """Somebody is there for the first time."""

    person: Person


@dataclass(frozen=True, slots=True)
class Away:
    """Somebody has been gone for AWAY_AFTER_S: they may be reloading a page, or change networks."""

    person: Person


@dataclass(frozen=True, slots=True)
class Back:
    """Somebody who was away is there again."""

    person: Person


@dataclass(frozen=True, slots=True)
class Left:
    """Somebody hung up, or did not come back in time. The next one of that identity is new."""

    person: Person


Change = Arrived | Away | Back | Left


class People:
    """Build it as soon as the room is connected. grace_s: for how long somebody who is gone may come back.

    Somebody who is made to reconnect by their network leaves, for all others, as if they had hung up, and is
    there again a moment later: that is no change.
    """

    def __init__(self, room: rtc.Room, grace_s: float, away_after_s: float | None = None) -> None:
        self._grace_s = grace_s
        self._away_after_s = AWAY_AFTER_S if away_after_s is None else away_after_s
        self._people: dict[str, Person] = {}
        self._away: set[str] = set()
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        room.on("participant_connected", self._on_connected)
        room.on("participant_disconnected", self._on_disconnected)
        room.on("track_published", self._on_published)
        room.on("track_subscribed", self._on_subscribed)
        room.on("track_unsubscribed", self._on_unsubscribed)
        room.on("data_received", self._on_data)
        room.on("participant_attributes_changed", self._on_attributes)
        room.on("reconnected", self._on_reconnected)
        for participant in sorted(room.remote_participants.values(), key=_joined_at):
            self._on_connected(participant)

    async def changes(self) -> AsyncIterator[Change]:
        """What has happened since it was built."""
        while True:
            yield await self._changes.get()

    def _on_connected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind not in _PEOPLE:
            return
        person = self._people.get(participant.identity)
        if person is None:
            person = self._people[participant.identity] = Person(participant)
            self._changes.put_nowait(Arrived(person))
            return
        person.connected(participant)
        if person.identity in self._away:
            self._away.remove(person.identity)
            self._changes.put_nowait(Back(person))

    def _on_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        person = self._people.get(participant.identity)
        if person is None or person.participant is not participant:
            return
        # A telephone that was hung up does not come back: who calls again has a call of their own.
        is_phone = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
        if is_phone or participant.disconnect_reason in _FOR_GOOD or not self._grace_s:
            self._leave(person)
            return
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(self._grace_s, self._leave, person)]
        if self._away_after_s < self._grace_s:
            timers.append(loop.call_later(self._away_after_s, self._be_away, person))
        person.disconnected(*timers)

    def _on_reconnected(self) -> None:
        """We are in the room again, over a connection on which nothing was asked for yet."""
        for person in self._people.values():
            person.listen_again()

    def _on_data(self, packet: rtc.DataPacket) -> None:
        if packet.topic == HANG_UP_TOPIC and packet.participant is not None:
            person = self._people.get(packet.participant.identity)
            if person is not None:
                self._leave(person)

    def _on_attributes(self, _changed: dict[str, str], participant: rtc.Participant) -> None:
        if person := self._people.get(participant.identity):
            person.has_news()

    def _be_away(self, person: Person) -> None:
        self._away.add(person.identity)
        self._changes.put_nowait(Away(person))

    def _leave(self, person: Person) -> None:
        person.disconnected()
        self._away.discard(person.identity)
        if self._people.pop(person.identity, None):
            self._changes.put_nowait(Left(person))

    def _on_published(
        self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if person := self._people.get(participant.identity):
            person.published(publication)

    def _on_subscribed(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if person := self._people.get(participant.identity):
            person.subscribed(track, publication)

    def _on_unsubscribed(
        self, track: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if person := self._people.get(participant.identity):
            person.unsubscribed(track)


def _is_voice(publication: rtc.RemoteTrackPublication) -> bool:
    """Sound, but not that of a shared screen."""
    return (
        publication.kind == rtc.TrackKind.KIND_AUDIO
        and publication.source != rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO
    )


def _joined_at(participant: rtc.RemoteParticipant) -> float:
    return participant.joined_at.timestamp() if participant.joined_at else 0.0
