"""Kyutai's speech to text as an STT of livekit-agents: `AgentSession(stt=MoshiSTT(), ...)`."""

import asyncio
import time
from typing import Never

from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
    stt,
    utils,
)
from livekit.agents.language import LanguageCode

from engine.errors import EngineError
from engine.step.frames import FRAME_S, SAMPLE_RATE
from engine.transcript_client import Transcript, TranscriptClient
from engine.transcript_protocol import Turn
from worker.engine_choice import choose_engine
from worker.plugin.errors import api_error
from worker.plugin.pieces import mono
from worker.plugin.utterance import Patience, Utterance


class MoshiSTT(stt.STT[Never]):
    """Speech to text by an engine that was started with a model for it. Each stream has a seat there.

    engine_url, engine_token: the engine, as ENGINE_URL and ENGINE_TOKEN say where they are left out.
    pause_probability, pause_head: from which probability on, of which of the model's heads, somebody has
    finished; silence_s: without a word, where a model has no such heads. language: what is put on
    transcripts; the model does not tell.

    Raises SettingError for the engine's address, ValueError for a probability or a time that is none.
    """

    def __init__(
        self,
        *,
        engine_url: str | None = None,
        engine_token: str | None = None,
        pause_probability: float = 0.5,
        pause_head: int = 2,
        silence_s: float = 1.0,
        language: str = "en",
    ) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True,
                interim_results=True,
                aligned_transcript="word",
                offline_recognize=False,
                manual_flush=True,
            )
        )
        if not 0 < pause_probability <= 1 or pause_head < 0 or silence_s <= 0:
            raise ValueError(
                "give a pause_probability above 0, up to 1, a head from 0 on and a positive time"
            )
        given = {"engine_url": engine_url, "engine_token": engine_token}
        settings = choose_engine("MoshiSTT", given, {}).settings
        assert settings.engine_url is not None, "choose_engine takes none without"
        self._url = settings.engine_url
        self._token = settings.engine_token.get_secret_value() if settings.engine_token else None
        self._patience = Patience(pause_probability, pause_head, silence_s)
        self._language = language
        self.name = "kyutai-stt"
        """What the engine calls the model, once a stream has begun."""

    @property
    def model(self) -> str:
        """What the framework puts on metrics."""
        return self.name

    @property
    def provider(self) -> str:
        """Who serves it, on metrics too."""
        return "moshi"

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> "MoshiSpeechStream":
        """One speaker, from now on. Inside a running event loop."""
        spoken = LanguageCode(language) if utils.is_given(language) else LanguageCode(self._language)
        return MoshiSpeechStream(self, spoken, conn_options)

    def client(self) -> TranscriptClient:
        """A connection to the engine, to be closed by whoever asks."""
        return TranscriptClient(self._url, self._token)

    @property
    def patience(self) -> Patience:
        """When somebody has finished."""
        return self._patience

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        raise NotImplementedError("this model listens to speech as it is spoken: use stream()")


class MoshiSpeechStream(stt.RecognizeStream):
    """Made by `MoshiSTT.stream`; the framework opens it again where a connection is lost.

    What was said meanwhile is heard late, what the lost one had heard is not told again.
    """

    def __init__(self, model: MoshiSTT, language: LanguageCode, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=model, conn_options=conn_options, sample_rate=SAMPLE_RATE)
        self._model = model
        self._language = language
        self._sent_bytes = 0

    async def _run(self) -> None:
        client = self._model.client()
        sending = None
        try:
            asked_at = time.monotonic()
            transcript = await client.open()
            self._model.name = transcript.ready.model
            self._report_connection_acquired(time.monotonic() - asked_at, connection_reused=False)
            utterance = Utterance(
                self._model.patience, self._language, self.start_time_offset, transcript.ready.session
            )
            self._sent_bytes = 0
            sending = asyncio.create_task(self._send(transcript, utterance))
            await self._listen(transcript, utterance)
        except EngineError as error:
            raise api_error(error) from error
        finally:
            if sending is not None:
                await utils.aio.cancel_and_wait(sending)
            await client.close()

    async def _send(self, transcript: Transcript, utterance: Utterance) -> None:
        async for pushed in self._input_ch:
            if isinstance(pushed, rtc.AudioFrame):
                pcm = mono(pushed)
                self._sent_bytes += len(pcm)
                await transcript.send(pcm)
            elif self._input_ch.closed and self._input_ch.empty():
                # With the end all is told.
                break
            else:
                utterance.end_at(self._sent_bytes // (2 * SAMPLE_RATE * FRAME_S) * FRAME_S)
                await transcript.flush()
        await transcript.end()

    async def _listen(self, transcript: Transcript, utterance: Utterance) -> None:
        counted_s = 0.0
        async for event in transcript:
            told = await utterance.hear(event, transcript.flush)
            if told and isinstance(event, Turn):
                told.append(self._usage(event.heard_s - counted_s, utterance))
                counted_s = event.heard_s
            for each in told:
                self._event_ch.send_nowait(each)

    def _usage(self, seconds: float, utterance: Utterance) -> stt.SpeechEvent:
        usage = stt.RecognitionUsage(audio_duration=seconds)
        return stt.SpeechEvent(
            stt.SpeechEventType.RECOGNITION_USAGE, utterance.request, recognition_usage=usage
        )
