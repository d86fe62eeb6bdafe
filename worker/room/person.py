"""Somebody in a room, through all their connections."""

import asyncio
from collections.abc import Callable

from livekit import rtc

from worker.phones.call_status import CALL_STATUS, RINGS
from worker.phones.handset import Handset
from worker.room import line
from worker.sound.audio_in import Change

TELEPHONES = (
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
    rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
)


class Person:
    """An identity, and the tracks of their voice. line_changed: told whether their sound still comes."""

    def __init__(
        self, participant: rtc.RemoteParticipant, line_changed: Callable[["Person", bool], None]
    ) -> None:
        self.participant = participant
        self.is_here = True
        self.handset = Handset() if _is_phone(participant) else None
        """What is heard of them if they call by telephone."""
        self._line_changed = line_changed
        self._is_listened_to = False
        self._news = asyncio.Event()
        self._heard: list[rtc.Track] = []
        self._tracks: asyncio.Queue[rtc.Track | None] = asyncio.Queue()
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def identity(self) -> str:
        """The name that their token gave them."""
        return self.participant.identity

    @property
    def change(self) -> Change:
        """What is done with their sound before the model hears it."""
        return self.handset.heard if self.handset else bytes

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

    async def watch_line(self, track: rtc.Track) -> None:
        """Tell whether the sound of this track of theirs still comes, until cancelled."""
        # A telephone may send nothing while nobody speaks, and livekit-sip hangs up when its line is dead.
        if self.participant.kind not in TELEPHONES:
            await line.watch(track, lambda: self._is_muted(track), self.line_works)

    def line_works(self, works: bool) -> None:
        """Their sound comes, or none is to be expected; or it should, and does not."""
        self._line_changed(self, works)

    async def answered(self) -> None:
        """Wait until their telephone does not ring any more, if it does: livekit-sip tells."""
        while self.participant.attributes.get(CALL_STATUS) in RINGS:
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

    def _is_muted(self, track: rtc.Track) -> bool:
        return any(
            publication.muted
            for publication in self.participant.track_publications.values()
            if publication.track is track
        )

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []


def _is_voice(publication: rtc.RemoteTrackPublication) -> bool:
    """Sound, but not that of a shared screen."""
    return (
        publication.kind == rtc.TrackKind.KIND_AUDIO
        and publication.source != rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO
    )


def _is_phone(participant: rtc.RemoteParticipant) -> bool:
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
