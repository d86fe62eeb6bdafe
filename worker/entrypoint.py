"""The job of one room, as LiveKit's process executor finds it: by name, in a process of its own."""

import asyncio
import logging

from livekit.agents import AutoSubscribe, JobContext

from worker import session_parameters
from worker.call import Call, CallLimits, Reason
from worker.settings import WorkerSettings, open_engine

log = logging.getLogger(__name__)


async def entrypoint(context: JobContext) -> None:
    """Start the call and return at once: a shutdown waits for an entrypoint before it does anything else."""
    settings = WorkerSettings.load()
    await context.connect(auto_subscribe=AutoSubscribe.SUBSCRIBE_NONE)
    engine = open_engine(settings)
    call = Call(
        context.job.id,
        context.room,
        engine,
        CallLimits(settings.worker_max_call_seconds),
        session_parameters.from_metadata(context.job.metadata),
    )

    async def run() -> None:
        reason = Reason.FAILED
        try:
            reason = await call.run()
        finally:
            await engine.close()
            context.shutdown(reason)

    running = asyncio.create_task(run())

    async def stop(_reason: str) -> None:
        if not call.is_over:
            running.cancel()
        (outcome,) = await asyncio.gather(running, return_exceptions=True)
        if isinstance(outcome, Exception):
            log.error("a call failed", exc_info=outcome, extra={"call": context.job.id})

    context.add_shutdown_callback(stop)
