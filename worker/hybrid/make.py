"""A call in which an LLM answers, from the settings of the ready-made worker."""

from dataclasses import replace

from livekit import rtc

from engine.protocol import SessionRequest
from worker.hybrid import stack
from worker.hybrid.call import HybridCall
from worker.hybrid.hybrid import Hybrid
from worker.hybrid.seated import SeatedModel
from worker.modes import Mode
from worker.privacy import keeping_in
from worker.room.call import CallLimits
from worker.room.welcome import Welcome
from worker.settings import WorkerSettings
from worker.watching.diary import Diary


def make_call(
    mode: Mode,
    call_id: str,
    room: rtc.Room,
    settings: WorkerSettings,
    wanted: SessionRequest,
    limits: CallLimits,
    welcome: Welcome,
    diary: Diary,
) -> HybridCall:
    """In this room, which is connected. The models of the mode are there, see `stack.check`."""
    seated = replace(wanted, seat=call_id, room=room.name, identity=room.local_participant.identity)
    moshi = SeatedModel(seated) if mode is Mode.HYBRID else None
    hybrid = Hybrid(moshi, bridge_s=settings.worker_bridge_seconds)
    session = stack.open_session(settings)
    instructions = settings.worker_instructions
    kept = keeping_in(settings, mode).of(call_id)
    hybrid.said_aloud.kept = kept.transcript
    return HybridCall(call_id, room, hybrid, session, instructions, limits, welcome, diary, kept)
