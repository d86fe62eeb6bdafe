"""Who is in the room: who came, who is away, who came back and who has left. Other agents are not people."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from livekit import rtc

from worker.phones.call_status import CALL_STATUS, HUNG_UP
from worker.phones.handset import Handset
from worker.room.person import TELEPHONES, Person

HANG_UP_TOPIC = "moshi.hang_up"
"""A data packet with this topic says that its sender leaves for good."""
AWAY_AFTER_S = 1.0
_PEOPLE = (rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, *TELEPHONES)
# Somebody saw to it that they are out of the room: no network did that.
_FOR_GOOD = (
    rtc.DisconnectReason.PARTICIPANT_REMOVED,
    rtc.DisconnectReason.USER_REJECTED,
    rtc.DisconnectReason.USER_UNAVAILABLE,
)


@dataclass(frozen=True, slots=True)
class Arrived:
    """Somebody is there for the first time."""

    person: Person


@dataclass(frozen=True, slots=True)
class Away:
    """Somebody has been gone for AWAY_AFTER_S, or their line does not work: they may be reloading a page, or
    change networks.
    """

    person: Person


@dataclass(frozen=True, slots=True)
class Back:
    """Somebody who was away is there again. was_gone: out of the room, else it was only their line."""

    person: Person
    was_gone: bool = True


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

    def participant(self, identity: str) -> rtc.RemoteParticipant | None:
        """Somebody who is there, or was a moment ago."""
        person = self._people.get(identity)
        return person.participant if person else None

    def handset(self, identity: str) -> Handset | None:
        """That of somebody who is there by telephone."""
        person = self._people.get(identity)
        return person.handset if person else None

    def _on_connected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind not in _PEOPLE:
            return
        person = self._people.get(participant.identity)
        if person is None:
            person = self._people[participant.identity] = Person(participant, self._on_line)
            self._changes.put_nowait(Arrived(person))
            return
        person.connected(participant)
        self._be_back(person)

    def _on_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        person = self._people.get(participant.identity)
        if person is None or person.participant is not participant:
            return
        reason = participant.disconnect_reason
        # A telephone that was hung up does not come back: who calls again has a call of their own. Without a
        # reason nobody has left: our own connection was lost, and the SDK takes everybody out of the room.
        has_hung_up = person.handset is not None and reason is not None
        if has_hung_up or reason in _FOR_GOOD or not self._grace_s:
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
            if participant.attributes.get(CALL_STATUS) == HUNG_UP:
                self._leave(person)

    def _on_line(self, person: Person, works: bool) -> None:
        if self._people.get(person.identity) is not person:
            return
        if not works:
            self._be_away(person)
        elif person.is_here:
            self._be_back(person, was_gone=False)

    def _be_away(self, person: Person) -> None:
        if person.identity not in self._away:
            self._away.add(person.identity)
            self._changes.put_nowait(Away(person))

    def _be_back(self, person: Person, *, was_gone: bool = True) -> None:
        if person.identity in self._away:
            self._away.remove(person.identity)
            self._changes.put_nowait(Back(person, was_gone))

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


def _joined_at(participant: rtc.RemoteParticipant) -> float:
    return participant.joined_at.timestamp() if participant.joined_at else 0.0
