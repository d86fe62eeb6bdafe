"""Moshi in a pipeline of Pipecat, for one client at a time: python examples/pipecat_bot.py 127.0.0.1 8765"""

import asyncio
import sys

from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker, ProcessorUnusablePolicy
from pipecat.serializers.protobuf import ProtobufFrameSerializer
from pipecat.transports.websocket import server
from pipecat.workers.runner import WorkerRunner

from worker.pipecat import MoshiService


async def talk(host: str, port: int) -> None:
    """Serve one conversation."""
    params = server.SingleClientWebsocketServerParams(
        audio_in_enabled=True, audio_out_enabled=True, serializer=ProtobufFrameSerializer()
    )
    transport = server.SingleClientWebsocketServerTransport(params, host, port)
    moshi = MoshiService(temperature=0.7, seed=1)  # ENGINE_URL and ENGINE_TOKEN say where the engine is
    bot = PipelineWorker(
        Pipeline([transport.input(), moshi, transport.output()]),
        # Moshi's own rate: nothing is resampled, which would cost time.
        params=PipelineParams(audio_in_sample_rate=24_000, audio_out_sample_rate=24_000),
        processor_unusable_policy=ProcessorUnusablePolicy.END,  # once there is no engine for it
    )

    @transport.event_handler("on_client_disconnected")
    async def hang_up(_transport: object, _client: object) -> None:
        await bot.cancel()

    runner = WorkerRunner()
    await runner.add_workers(bot)
    await runner.run()


asyncio.run(talk(sys.argv[1], int(sys.argv[2])))
