"""What the model says: sound on the track, words in the transcript; and what is announced in its place."""

import asyncio
from collections.abc import Callable

from engine.level import level_db
from engine.protocol import Audio
from engine.step.frames import FRAME_S
from worker.keeping.recording import Recording
from worker.signs.agent_state import SpeechDetector, State
from worker.signs.transcript import Transcript
from worker.sound.clips import Clip
from worker.sound.voice import Voice

_NO_ANSWER = -1


class Mouth:
    """Of one conversation; `run` it. show: called whenever `state` may be another one."""

    def __init__(
        self,
        voice: Voice,
        transcript: Transcript,
        recording: Recording | None,
        clock: Callable[[], float],
        show: Callable[[], None],
    ) -> None:
        self._voice = voice
        self._transcript = transcript
        self._recording = recording
        self._clock = clock
        self._show = show
        self._speech = SpeechDetector()
        self._clips: asyncio.Queue[Clip] = asyncio.Queue()
        self._announcing = 0

    @property
    def is_announcing(self) -> bool:
        """Whether it plays a recording, or is about to: until its end the model neither hears nor speaks."""
        return self._announcing > 0

    @property
    def state(self) -> State:
        """Whether it speaks or listens."""
        return State.SPEAKING if self._announcing else self._speech.state

    def sound(self, answer: Audio) -> None:
        """The model's next 80 ms."""
        if self._recording:
            self._recording.said(answer.pcm)
        if self._announcing:
            return
        level = level_db(answer.pcm)
        self._voice.put(answer, level)
        self._speech.frame(level)
        self._transcript.frame(level)
        self._show()

    def word(self, piece: str) -> None:
        """The model said a piece of a word."""
        self._speech.word()
        self._transcript.piece(piece)
        self._show()

    def rest(self) -> None:
        """The model says nothing for a while."""
        self._speech = SpeechDetector()
        self._voice.rest()
        self._transcript.break_off()
        self._show()

    def announce(self, clip: Clip) -> None:
        """Play a recording in the model's place, after those that were announced before."""
        self._announcing += 1
        self._clips.put_nowait(clip)

    async def announced(self) -> None:
        """Wait until all is played that was announced."""
        await self._clips.join()

    async def run(self) -> None:
        """Play what is announced, in order and as fast as it is spoken."""
        while True:
            clip = await self._clips.get()
            # The first time, FFmpeg reads it.
            frames: tuple[bytes, ...] = await asyncio.to_thread(getattr, clip, "frames")
            began_at = self._clock()
            for number, pcm in enumerate(frames, start=1):
                self._voice.put(Audio(_NO_ANSWER, 0, 0, pcm), level_db(pcm))
                await asyncio.sleep(max(0.0, began_at + number * FRAME_S - self._clock()))
            self._announcing -= 1
            self._show()
            self._clips.task_done()
