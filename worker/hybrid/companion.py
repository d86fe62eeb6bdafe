"""Moshi in a call with two speakers: it hears the caller all the time; what is heard of it, others decide.

What the other speaker says it takes for its own words.
"""

import logging
from collections.abc import Callable

import numpy as np
from livekit import rtc
from livekit.agents import llm

from engine.level import level_db
from worker.hybrid.conductor import Conductor
from worker.plugin.gate import MarkGate
from worker.plugin.model import MoshiDuplexModel
from worker.signs.transcript import Transcript

log = logging.getLogger(__name__)


class Companion:
    """`hear` the caller, and `run` it. wake: called when there is something new to be heard; own_words:
    whether Moshi takes answers for its own words.

    Where the engine is lost, or has no seat, the call goes on without it.
    """

    def __init__(
        self,
        model: MoshiDuplexModel,
        conductor: Conductor,
        transcript: Transcript,
        wake: Callable[[], None],
        *,
        own_words: bool = True,
    ) -> None:
        self._session = model.session()
        self._conductor = conductor
        self._transcript = transcript
        self._wake = wake
        self._gate = MarkGate()
        self._session.on("transcript_delta", self._word)
        self._session.on("error", self._trouble)
        if own_words:
            self._session.ask_for_words(conductor.own_voice.take)

    def hear(self, frame: rtc.AudioFrame) -> None:
        """What the caller says."""
        self._session.push_audio(frame)

    async def run(self) -> None:
        """Until cancelled, or until Moshi is lost for good."""
        try:
            await self._session._update_session(instructions="", chat_ctx=llm.ChatContext.empty(), tools=[])
            async for answer in self._session.audio_stream:
                self._say(answer.frame)
        finally:
            self._conductor.moshi_is_gone()
            self._transcript.break_off()
            await self._session.aclose()

    def _say(self, frame: rtc.AudioFrame) -> None:
        pcm = frame.data.tobytes()
        self._conductor.moshi(np.frombuffer(pcm, "<i2"), speaks=self._gate.update(frame))
        if self._conductor.moshi_is_heard:
            self._transcript.frame(level_db(pcm))
        else:
            self._transcript.break_off()
        self._wake()

    def _word(self, word: llm.DuplexOutputTranscriptDelta) -> None:
        """Words that nobody hears are not written either."""
        if self._conductor.moshi_is_heard:
            self._transcript.piece(word.text)

    def _trouble(self, error: llm.RealtimeModelError) -> None:
        self._conductor.moshi_is_gone()
        what = "Moshi is being brought back" if error.recoverable else "the call goes on without Moshi"
        log.warning(what, extra={"detail": str(error.error)})
