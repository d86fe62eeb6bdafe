"""The model's words as LiveKit's apps expect them: a text stream on `lk.transcription` for each segment."""

import asyncio
import logging
import uuid
from dataclasses import dataclass
from typing import Protocol

from livekit import rtc

from engine.level import SILENCE_DB
from engine.step.frames import FRAME_S
from worker.room.audience import EVERYBODY, Audience

log = logging.getLogger(__name__)

TOPIC = "lk.transcription"
SENTENCE_ENDS = (".", "!", "?", "…")
PAUSE_FRAMES = round(1.0 / FRAME_S)
SENTENCE_PAUSE_FRAMES = 4
FINISH_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Write:
    """Put `text` into the open segment, which begins before it or ends after it."""

    text: str
    begins: bool = False
    ends: bool = False


class Segmenter:
    """Cuts the stream of pieces into segments. Pure; its time is the number of frames answered.

    A segment ends once the model has been quiet for a second and said no word, or soon after the end of a
    sentence. A word that begins right after a sentence ends the segment before it.
    """

    def __init__(self) -> None:
        self._text = ""
        self._idle_frames = 0
        self._quiet_frames = 0

    def piece(self, piece: str) -> list[Write]:
        """The model said `piece`."""
        writes = []
        if piece.startswith(" ") and self._sentence_is_over:
            writes.append(self._end())
        begins = not self._text
        self._text += piece
        self._idle_frames = self._quiet_frames = 0
        writes.append(Write(piece.lstrip() if begins else piece, begins=begins))
        return writes

    def frame(self, level_db: float) -> list[Write]:
        """The model answered a frame with sound of this level."""
        self._idle_frames += 1
        self._quiet_frames = 0 if level_db > SILENCE_DB else self._quiet_frames + 1
        paused = min(self._idle_frames, self._quiet_frames) >= PAUSE_FRAMES
        if self._text and (paused or (self._sentence_is_over and self._idle_frames >= SENTENCE_PAUSE_FRAMES)):
            return [self._end()]
        return []

    def finish(self) -> list[Write]:
        """End the segment that is open, if there is one."""
        return [self._end()] if self._text else []

    @property
    def _sentence_is_over(self) -> bool:
        return self._text.rstrip().endswith(SENTENCE_ENDS)

    def _end(self) -> Write:
        self._text = ""
        return Write("", ends=True)


class Keeper(Protocol):
    """Who keeps what is written."""

    def write(self, text: str, *, ends: bool = False) -> None:
        """The model said a piece of a segment, which may end with it."""

    def notice(self, text: str) -> None:
        """The worker told this."""


class Transcript:
    """Writes segments to the room, in a task of its own so that sound never waits for text."""

    def __init__(
        self,
        participant: rtc.LocalParticipant,
        audience: Audience = EVERYBODY,
        kept: Keeper | None = None,
    ) -> None:
        self.track_sid = ""
        """The track on which these words are to be heard, empty while there is none."""
        self._participant = participant
        self._audience = audience
        self._kept = kept
        self._segmenter = Segmenter()
        self._writes: asyncio.Queue[Write] = asyncio.Queue()
        self._open: rtc.TextStreamWriter | None = None
        self._segment_id = ""

    def piece(self, piece: str) -> None:
        """The model said `piece`."""
        self._enqueue(self._segmenter.piece(piece))

    def frame(self, level_db: float) -> None:
        """The model answered a frame with sound of this level."""
        self._enqueue(self._segmenter.frame(level_db))

    def break_off(self) -> None:
        """Nothing more comes for a while: end the segment that is open."""
        self._enqueue(self._segmenter.finish())

    def notice(self, text: str) -> None:
        """A line of the worker's own, as a segment of its own."""
        self.break_off()
        if self._kept:
            self._kept.notice(text)
        for write in (Write(text, begins=True), Write("", ends=True)):
            self._writes.put_nowait(write)

    async def run(self) -> None:
        """Write what is asked for, in order."""
        while True:
            await self._try_to_write(await self._writes.get())

    async def finish(self) -> None:
        """End the segment that is open, once `run` is over and while the room is still there."""
        self._enqueue(self._segmenter.finish())
        try:
            async with asyncio.timeout(FINISH_TIMEOUT_S):
                while not self._writes.empty():
                    await self._try_to_write(self._writes.get_nowait())
        except TimeoutError:
            log.warning("the end of the transcript was lost")

    def _enqueue(self, writes: list[Write]) -> None:
        """What the model said."""
        for write in writes:
            self._writes.put_nowait(write)
            if self._kept:
                self._kept.write(write.text, ends=write.ends)

    async def _try_to_write(self, write: Write) -> None:
        try:
            await self._write(write)
        except Exception:
            # The SDK has no narrower error. A word that nobody can read must not end a call.
            log.warning("a piece of the transcript was lost", exc_info=True)

    async def _write(self, write: Write) -> None:
        if write.begins:
            self._segment_id = f"SG_{uuid.uuid4().hex[:12]}"
            self._open = await self._participant.stream_text(
                topic=TOPIC, attributes=self._attributes(final=False), **self._audience.addressed()
            )
        if self._open is None:
            return
        if write.text:
            await self._open.write(write.text)
        if write.ends:
            await self._open.aclose(attributes=self._attributes(final=True))
            self._open = None

    def _attributes(self, *, final: bool) -> dict[str, str]:
        return {
            "lk.segment_id": self._segment_id,
            "lk.transcribed_track_id": self.track_sid,
            "lk.transcription_final": "true" if final else "false",
        }
