"""The job of one room, as LiveKit's process executor finds it: by name, in a process of its own."""

import asyncio
import logging
from dataclasses import replace

from livekit.agents import AutoSubscribe, JobContext

from worker import dispatches, logs
from worker.conversation import session_parameters
from worker.hybrid.call import HybridCall
from worker.hybrid.make import make_call
from worker.modes import Mode, mode_in
from worker.phones.keypad import Keys
from worker.phones.keys import parse_keys
from worker.phones.switchboard import LiveKitSwitchboard, hang_up_those_left_in
from worker.privacy import keeping_in, notice_in, welcome_in
from worker.room.call import NOTHING_LOST, Call, CallLimits, CallManner
from worker.room.grace import grace_in
from worker.room.reasons import Reason, is_for_good, is_nobody_to_be_sent
from worker.room.returning import Returning
from worker.room.wishes import FIRST_CALLER_S, Wishes
from worker.settings import WorkerSettings, captions_in, open_engine
from worker.watching.watch import Watch

log = logging.getLogger(__name__)


async def entrypoint(context: JobContext) -> None:
    """Start the call and return at once: a shutdown waits for an entrypoint before it does anything else."""
    settings = WorkerSettings.load()
    returning = Returning.told_to(context.job)
    call_id = returning.call if returning else context.job.id
    logs.be_discreet()
    watch = await Watch.begin(call_id)
    async with watch.joining():
        await context.connect(auto_subscribe=AutoSubscribe.SUBSCRIBE_NONE)
    async with watch.beginning():
        await _begin(context, settings, call_id, returning, watch)


async def _begin(
    context: JobContext, settings: WorkerSettings, call_id: str, returning: Returning | None, watch: Watch
) -> None:
    logs.hide_names_in(context.room)
    metadata, anew = dispatches.read(returning.metadata if returning else context.job.metadata)
    mode = mode_in(metadata, settings.worker_mode)
    engine = None if mode is Mode.PIPELINE else open_engine(settings)
    if await context.room.sid != context.job.room.sid:
        # Ours was closed before we came. This one our coming has made.
        log.warning("the room was closed before the call began", extra={"call": call_id})
        if engine is not None:
            await engine.release(call_id)
            await engine.close()
        context.shutdown(Reason.ROOM_CLOSED)
        await watch.over(Reason.ROOM_CLOSED)
        return
    grace_s = grace_in(context.room.departure_timeout, settings.worker_grace_seconds, call_id)
    limits = CallLimits(
        settings.worker_max_call_seconds, grace_s=grace_s, idle_s=settings.worker_idle_seconds
    )
    welcome = welcome_in(settings, mode)
    transfer_to = settings.worker_transfer_to
    switchboard = LiveKitSwitchboard(lambda: context.api, context.room.name, call_id, transfer_to)
    here = frozenset(context.room.remote_participants)
    wanted = session_parameters.from_metadata(metadata)
    if returning:
        # Whoever is not there has been there, and whoever is has been welcomed.
        limits = replace(limits, arrival_s=grace_s)
        welcome = replace(welcome, known=here)
    elif anew:
        welcome = replace(welcome, lost=here)
    wishes = Wishes.of(wanted, context.room.metadata, FIRST_CALLER_S)
    if mode is Mode.MOSHI:
        assert engine is not None
        call: Call | HybridCall = Call(
            call_id,
            context.room,
            engine,
            limits,
            wishes,
            returning.resume if returning else NOTHING_LOST,
            manner=CallManner(
                settings.worker_room_policy,
                settings.worker_half_duplex,
                welcome,
                notice_in(settings),
                keeping_in(settings),
                keys=Keys(parse_keys(settings.worker_dtmf), switchboard),
                awaited=returning.caller if returning else "",
                captions=captions_in(settings),
            ),
            diary=watch.diary,
        )
    else:
        call = make_call(mode, call_id, context.room, settings, wishes.by_app, limits, welcome, watch.diary)

    async def run() -> None:
        reason = Reason.FAILED
        try:
            reason = await call.run()
        except asyncio.CancelledError:
            reason = Reason.WORKER_STOPPED
            raise
        finally:
            if engine is not None:
                await engine.close()
            are_brought_back = settings.engine_admin_socket is not None and call.is_held
            if is_for_good(reason, are_brought_back=are_brought_back):
                await hang_up_those_left_in(context.room, switchboard)
            if is_nobody_to_be_sent(reason, is_anybody_left=bool(context.room.remote_participants)):
                await dispatches.withdraw(context.api, context.room.name, call_id)
            # Not after the last word of it is sent: a collector may be slow.
            context.shutdown(reason)
            await watch.close()

    running = asyncio.create_task(run())

    async def stop(_reason: str) -> None:
        if not call.is_over:
            running.cancel()
        (outcome,) = await asyncio.gather(running, return_exceptions=True)
        if isinstance(outcome, Exception):
            log.error("a call failed", exc_info=outcome, extra={"call": call_id})

    context.add_shutdown_callback(stop)
