"""Callers' words as LiveKit's apps expect them: text streams on `lk.transcription` under their identities."""

import asyncio
import logging
import uuid
from collections.abc import Callable

from livekit import rtc
from livekit.agents.language import LanguageCode
from livekit.agents.stt import SpeechEvent, SpeechEventType

from engine.errors import EngineUnreachable, NotServed, Refused
from engine.step.frames import FRAME_S, SAMPLE_RATE
from engine.transcript_client import Transcript, TranscriptClient
from worker.plugin.utterance import Patience, Utterance
from worker.room.audience import EVERYBODY, Audience
from worker.signs.transcript import FINISH_TIMEOUT_S, TOPIC

log = logging.getLogger(__name__)

AGAIN_S = 5.0
Opening = Callable[[], TranscriptClient]


class Captions:
    """Of one conversation: follows whom it hears, with a transcription of the engine for each track.

    Whatever goes wrong costs captions and never a call.
    """

    def __init__(
        self,
        participant: rtc.LocalParticipant,
        opening: Opening,
        audience: Audience = EVERYBODY,
        again_s: float = AGAIN_S,
    ) -> None:
        self._participant = participant
        self._opening = opening
        self._audience = audience
        self._again_s = again_s

    async def follow(self, track: rtc.Track, speaker: str) -> None:
        """Write down what `speaker`, an identity, says on a track, until cancelled or the track ends."""
        trouble = _Trouble()
        while True:
            try:
                async with self._opening() as engine:
                    await self._write(await engine.open(), track, speaker, trouble)
                return
            except NotServed as none:
                log.warning("no captions: %s", none)
                return
            except (EngineUnreachable, Refused) as error:
                if trouble.is_new(error):
                    log.info("no captions for now: %s", error)
            except Exception as error:
                # The SDK has no narrower error.
                if trouble.is_new(error):
                    log.warning("captions were lost", exc_info=True)
            await asyncio.sleep(self._again_s)

    async def _write(
        self, transcript: Transcript, track: rtc.Track, speaker: str, trouble: "_Trouble"
    ) -> None:
        line = _Line(self._participant, self._audience, speaker, track.sid)
        try:
            async with asyncio.TaskGroup() as tasks:
                hearing = tasks.create_task(_hear(track, transcript))
                await _read(transcript, line, trouble)
                hearing.cancel()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            await line.end()


class _Trouble:
    """What keeps captions away: each kind of it is to be said once, until it has passed."""

    def __init__(self) -> None:
        self._kinds: set[type[Exception]] = set()

    def is_new(self, error: Exception) -> bool:
        """Whether there was nothing of this kind before."""
        is_new = type(error) not in self._kinds
        self._kinds.add(type(error))
        return is_new

    def has_passed(self) -> None:
        """All is well: what comes now is new."""
        self._kinds.clear()


async def _read(transcript: Transcript, line: "_Line", trouble: _Trouble) -> None:
    utterance = Utterance(Patience(), LanguageCode("und"))
    async for event in transcript:
        for each in await utterance.hear(event, transcript.flush):
            trouble.has_passed()
            await line.tell(each)


async def _hear(track: rtc.Track, transcript: Transcript) -> None:
    stream = rtc.AudioStream(
        track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=round(FRAME_S * 1000)
    )
    try:
        async for event in stream:
            await transcript.send(event.frame.data.tobytes())
        await transcript.end()
    finally:
        await stream.aclose()


class _Line:
    """The text stream of what one speaker says, one for each utterance."""

    def __init__(
        self, participant: rtc.LocalParticipant, audience: Audience, speaker: str, track: str
    ) -> None:
        self._participant = participant
        self._audience = audience
        self._speaker = speaker
        self._track = track
        self._open: rtc.TextStreamWriter | None = None
        self._segment = ""
        self._told = ""
        self._trouble = _Trouble()

    async def tell(self, event: SpeechEvent) -> None:
        """A further word, or the end of an utterance."""
        try:
            if event.type is SpeechEventType.INTERIM_TRANSCRIPT:
                await self._add(event.alternatives[0].text)
            elif event.type is SpeechEventType.END_OF_SPEECH:
                await self.end()
        except Exception as error:
            # The SDK has no narrower error. A word that nobody can read must not end a call.
            if self._trouble.is_new(error):
                log.warning("a caption was lost", exc_info=True)

    async def end(self) -> None:
        """What is open is final."""
        open_, self._open, self._told = self._open, None, ""
        if open_ is None:
            return
        try:
            async with asyncio.timeout(FINISH_TIMEOUT_S):
                await open_.aclose(attributes=self._attributes(final=True))
        except Exception as error:  # noqa: BLE001  # the SDK has no narrower one
            # A room that is gone is no reason for a traceback.
            if self._trouble.is_new(error):
                log.warning("the end of a caption was lost: %r", error)

    async def _add(self, text: str) -> None:
        if self._open is None:
            self._segment = f"SG_{uuid.uuid4().hex[:12]}"
            self._open = await self._participant.stream_text(
                topic=TOPIC,
                attributes=self._attributes(final=False),
                sender_identity=self._speaker,
                **self._audience.addressed(),
            )
        await self._open.write(text.removeprefix(self._told))
        self._told = text
        self._trouble.has_passed()

    def _attributes(self, *, final: bool) -> dict[str, str]:
        return {
            "lk.segment_id": self._segment,
            "lk.transcribed_track_id": self._track,
            "lk.transcription_final": "true" if final else "false",
        }
