"""Kyutai's text to speech as a TTS of livekit-agents: `AgentSession(tts=MoshiTTS(), ...)`."""

import asyncio
import time
from typing import Never

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, tts, utils
from livekit.agents.types import TimedString

from engine.errors import EngineError, error_from_wire
from engine.protocol import Ended, Failure
from engine.speech_client import Speech, SpeechClient
from engine.speech_protocol import Sound, SpeechRequest, Word
from engine.step.frames import SAMPLE_RATE
from worker.engine_choice import choose_engine
from worker.plugin.errors import api_error


class MoshiTTS(tts.TTS[Never]):
    """Text to speech by an engine that was started with a model for it. Each stream has a seat there, from
    its first text to its last sound.

    engine_url, engine_token: the engine, as ENGINE_URL and ENGINE_TOKEN say where they are left out. voice,
    temperature, seed, cfg: as in docs/speech.md; left out, the engine's first voice, the model's own ways and
    a random seed.

    Raises SettingError for the engine's address, SessionError for a parameter out of its range.
    """

    def __init__(
        self,
        *,
        engine_url: str | None = None,
        engine_token: str | None = None,
        voice: str | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        cfg: float | None = None,
    ) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=True),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
        )
        given = {"engine_url": engine_url, "engine_token": engine_token}
        settings = choose_engine("MoshiTTS", given, {}).settings
        assert settings.engine_url is not None, "choose_engine takes none without"
        self._url = settings.engine_url
        self._token = settings.engine_token.get_secret_value() if settings.engine_token else None
        asked = SpeechRequest(voice, temperature, seed, cfg)
        self.request = SpeechRequest.from_query(asked.to_query())
        """What each speech asks for."""
        self.name = "kyutai-tts"
        """What the engine calls the model, once it has spoken."""

    @property
    def model(self) -> str:
        """What the framework puts on metrics."""
        return self.name

    @property
    def provider(self) -> str:
        """Who serves it, on metrics too."""
        return "moshi"

    def client(self) -> SpeechClient:
        """A connection to the engine, to be closed by whoever asks."""
        return SpeechClient(self._url, self._token)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> "MoshiChunkedStream":
        """A whole text. Inside a running event loop."""
        return MoshiChunkedStream(self, text, conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> "MoshiSynthesizeStream":
        """A text that is still being written. Inside a running event loop."""
        return MoshiSynthesizeStream(self, conn_options)


class MoshiChunkedStream(tts.ChunkedStream):
    """Made by `MoshiTTS.synthesize`."""

    def __init__(self, model: MoshiTTS, text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=model, input_text=text, conn_options=conn_options)
        self._model = model

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _initialize(output_emitter, stream=False)
        client = self._model.client()
        try:
            asked_at = time.monotonic()
            speech = await client.open(self._model.request)
            self._acquire_time = time.monotonic() - asked_at
            await speech.say(self.input_text)
            await speech.end()
            await _hear(self._model, speech, output_emitter)
        except EngineError as error:
            raise api_error(error) from error
        finally:
            await client.close()


class MoshiSynthesizeStream(tts.SynthesizeStream):
    """Made by `MoshiTTS.stream`; the framework opens it again where nothing of it has been heard."""

    def __init__(self, model: MoshiTTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=model, conn_options=conn_options)
        self._model = model

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        _initialize(output_emitter, stream=True)
        # A seat is not taken before there is something to say.
        async for first in self._input_ch:
            if isinstance(first, str):
                break
        else:
            return
        client = self._model.client()
        sending = None
        try:
            asked_at = time.monotonic()
            speech = await client.open(self._model.request)
            self._acquire_time = time.monotonic() - asked_at
            output_emitter.start_segment(segment_id=speech.ready.session)
            sending = asyncio.create_task(self._send(speech, first))
            await _hear(self._model, speech, output_emitter)
        except EngineError as error:
            raise api_error(error) from error
        finally:
            if sending is not None:
                await utils.aio.cancel_and_wait(sending)
            await client.close()

    async def _send(self, speech: Speech, first: str) -> None:
        """All text up to the end of the segment, of which a stream has one."""
        self._mark_started()
        await speech.say(first)
        async for pushed in self._input_ch:
            if not isinstance(pushed, str):
                break
            await speech.say(pushed)
        await speech.end()


def _initialize(emitter: tts.AudioEmitter, *, stream: bool) -> None:
    emitter.initialize(
        request_id=utils.shortuuid(),
        sample_rate=SAMPLE_RATE,
        num_channels=1,
        mime_type="audio/pcm",
        stream=stream,
    )


async def _hear(model: MoshiTTS, speech: Speech, emitter: tts.AudioEmitter) -> None:
    """Hand all of it to the framework. Raises EngineError."""
    model.name = speech.ready.model
    async for event in speech:
        match event:
            case Sound():
                emitter.push(event.pcm)
            case Word():
                emitter.push_timed_transcript(TimedString(f"{event.text} ", start_time=event.start_s))
            case Failure():
                raise error_from_wire({"error": event.code, "message": event.message})
            case Ended(reason) if reason != "hang_up":
                raise EngineError(f"the engine ended the speech: {reason}")
