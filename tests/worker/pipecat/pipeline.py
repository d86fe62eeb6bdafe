"""A real pipeline of Pipecat with Moshi in it, between a microphone and speakers of ours."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
from pipecat.frames.frames import ErrorFrame, Frame, InputAudioRawFrame, OutputAudioRawFrame, StartFrame
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from engine.step.frames import FRAME_SAMPLES, SAMPLE_RATE
from tests.fake_engine import FakeEngine
from tests.worker import waiting
from worker.pipecat import MoshiService

TIMEOUT_S = 20
UPSTREAM, DOWNSTREAM = FrameDirection.UPSTREAM, FrameDirection.DOWNSTREAM

Kind = TypeVar("Kind", bound=Frame)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something has come about, on a machine that may do much else."""
    await waiting.until(condition, TIMEOUT_S)


def sound(level: int, rate: int = SAMPLE_RATE) -> InputAudioRawFrame:
    """80 ms of a microphone."""
    samples = FRAME_SAMPLES * rate // SAMPLE_RATE
    return InputAudioRawFrame(np.full(samples, level, "<i2").tobytes(), rate, 1)


class Speakers(BaseOutputTransport):
    """An output of Pipecat's that keeps what it plays."""

    def __init__(self, rate: int) -> None:
        super().__init__(TransportParams(audio_out_enabled=True, audio_out_end_silence_secs=0))
        self.pcm = b""
        self.rate = rate

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        self.pcm += frame.audio
        return True

    @property
    def levels(self) -> list[int]:
        """The level of each 80 ms."""
        samples = np.frombuffer(self.pcm, "<i2")
        each = FRAME_SAMPLES * self.rate // SAMPLE_RATE
        return [int(samples[at + each // 2]) for at in range(0, len(samples) - each + 1, each)]


class Watch(BaseObserver):
    """Every frame that was pushed, and by whom."""

    def __init__(self) -> None:
        super().__init__()
        self.pushed: list[FramePushed] = []

    async def on_push_frame(self, data: FramePushed) -> None:
        self.pushed.append(data)


class Talk:
    """A pipeline that runs, and all that went through it."""

    def __init__(
        self,
        engine: FakeEngine,
        service: MoshiService,
        before: Sequence[FrameProcessor],
        after: Sequence[FrameProcessor],
        rate: int,
    ) -> None:
        self.engine = engine
        self.service = service
        self.rate = rate
        self.speakers = Speakers(rate)
        self.watch = Watch()
        self.worker = PipelineWorker(
            Pipeline([*before, service, self.speakers, *after]),
            observers=[self.watch],
            params=PipelineParams(audio_in_sample_rate=rate, audio_out_sample_rate=rate),
            enable_rtvi=False,
        )

    async def say(self, *levels: int) -> None:
        """Speak, and wait until the engine has heard each frame."""
        for heard, level in enumerate(levels, len(self.engine.frames) + 1):
            await self.worker.queue_frame(sound(level, self.rate))
            await until(partial(self._has_heard, heard))

    def _has_heard(self, frames: int) -> bool:
        return len(self.engine.frames) >= frames

    def told(self, kind: type[Kind], direction: FrameDirection = DOWNSTREAM) -> list[Kind]:
        """The frames of a kind that the service made."""
        return [
            data.frame
            for data in self.watch.pushed
            if data.source is self.service and data.direction is direction and isinstance(data.frame, kind)
        ]

    def seen(self, kind: type[Kind], direction: FrameDirection = DOWNSTREAM) -> list[Kind]:
        """The frames of a kind, whoever made them, each once."""
        frames = (data.frame for data in self.watch.pushed if data.direction is direction)
        return list({frame.id: frame for frame in frames if isinstance(frame, kind)}.values())

    @property
    def errors(self) -> list[ErrorFrame]:
        return self.told(ErrorFrame, UPSTREAM)


@asynccontextmanager
async def talking(
    engine: FakeEngine,
    before: Sequence[FrameProcessor] = (),
    after: Sequence[FrameProcessor] = (),
    rate: int = SAMPLE_RATE,
    **options: Any,
) -> AsyncIterator[Talk]:
    """A pipeline that has started, with a model of these options. Without a clock no time goes by in it."""
    usual: dict[str, Any] = {"engine_url": engine.url, "clock": lambda: 0.0}
    service = MoshiService(**usual | options)
    talk = Talk(engine, service, before, after, rate)
    started = asyncio.Event()

    @talk.worker.event_handler("on_pipeline_started")
    async def on_pipeline_started(_worker: PipelineWorker, _frame: StartFrame) -> None:
        started.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(talk.worker)
    running = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(started.wait(), TIMEOUT_S)
        yield talk
    finally:
        if not talk.worker.has_finished():
            await talk.worker.cancel()
        await asyncio.wait_for(running, TIMEOUT_S)
