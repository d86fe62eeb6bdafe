"""Several people in one room, and people who say nothing: who hears whom, and whether the model goes on."""

import asyncio

import pytest
from livekit import rtc

from tests.end_to_end.conftest import PATIENCE_S
from tests.end_to_end.scene import metrics, value
from tests.end_to_end.sounds import keyed_phrases, share
from tests.end_to_end.takes import hear_themselves
from tests.end_to_end.test_reconnects import Agent, Open
from tests.end_to_end.test_reconnects import agent_in_a_room as agent_in_a_room
from tests.worker.waiting import until
from worker.caller.caller import Caller
from worker.conversation.engine_link import UNANSWERED_FRAMES
from worker.room.call import CallManner
from worker.room.reasons import Reason
from worker.room.room_policy import RoomPolicy

ADA_HZ, BOB_HZ = 400, 1200
TAIL_S = 3.0
TAKES = 3

pytestmark = pytest.mark.timeout(180)


async def both_speak(ada: Caller, bob: Caller) -> None:
    """At the same time, for three seconds; then they listen for what comes back."""
    async with asyncio.TaskGroup() as speaking:
        for caller, tone_hz in ((ada, ADA_HZ), (bob, BOB_HZ)):
            (phrase,) = keyed_phrases(tone_hz, 1, pause_s=0)
            speaking.create_task(caller.say(phrase))
    await asyncio.sleep(TAIL_S)


def tracks(caller: Caller) -> list[str]:
    """Those of the agent that this caller can hear."""
    return [
        publication.sid
        for person in caller.room.remote_participants.values()
        if person.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        for publication in person.track_publications.values()
        if publication.track is not None
    ]


async def speak_until(agent: Agent, ada: Caller, bob: Caller, least: list[tuple[Caller, int]]) -> None:
    """Again if a busy machine has cut a sound that was to come back."""
    for _ in range(TAKES):
        await both_speak(ada, bob)
        if all(share(caller.heard, tone_hz) > 0.2 for caller, tone_hz in least):
            return
        assert not agent.call.done()
    pytest.fail(f"nothing came back: {[share(caller.heard, tone_hz) for caller, tone_hz in least]}")


async def test_each_hears_and_reads_their_own_conversation_alone(agent_in_a_room: Open) -> None:
    async with agent_in_a_room(grace_s=0.0, manner=CallManner(RoomPolicy.EACH)) as agent:
        async with agent.caller("ada") as ada:
            async with agent.caller("bob") as bob:
                await speak_until(agent, ada, bob, [(ada, ADA_HZ), (bob, BOB_HZ)])
                (adas,), (bobs,) = tracks(ada), tracks(bob)
                assert adas != bobs
                for caller, theirs, others in ((ada, ADA_HZ, BOB_HZ), (bob, BOB_HZ, ADA_HZ)):
                    assert share(caller.heard, theirs) > 100 * share(caller.heard, others)
                await until(lambda: ada.segments and bob.segments, PATIENCE_S)
                assert {segment.track_sid for segment in ada.segments} == {adas}
                assert {segment.track_sid for segment in bob.segments} == {bobs}
            assert agent.engine.opened == ["new", "new"]
            assert await hear_themselves(ada), "Bob has left, and Ada's call goes on"
        assert await agent.call is Reason.CALLER_LEFT


async def test_mixed_people_are_heard_by_one_model_and_both_hear_it(agent_in_a_room: Open) -> None:
    async with agent_in_a_room(grace_s=0.0, manner=CallManner(RoomPolicy.MIX)) as agent:
        async with agent.caller("ada") as ada, agent.caller("bob") as bob:
            both = [(caller, tone_hz) for caller in (ada, bob) for tone_hz in (ADA_HZ, BOB_HZ)]
            await speak_until(agent, ada, bob, both)
            assert tracks(ada) == tracks(bob)
            assert agent.engine.opened == ["new"]
        assert await agent.call is Reason.CALLER_LEFT


async def test_the_model_goes_on_while_its_caller_is_muted_or_has_no_microphone(
    agent_in_a_room: Open, engine_port: int
) -> None:
    async def goes_on() -> bool:
        """Whether more is answered than what was on its way."""
        before = value(await asyncio.to_thread(metrics, engine_port), "moshi_frames_total")
        for _ in range(round(PATIENCE_S)):
            await asyncio.sleep(1)
            now = value(await asyncio.to_thread(metrics, engine_port), "moshi_frames_total")
            if now > before + 2 * UNANSWERED_FRAMES:
                return True
        return False

    async with agent_in_a_room(grace_s=0.0) as agent, agent.caller() as caller:
        (microphone,) = caller.room.local_participant.track_publications.values()
        assert isinstance(microphone.track, rtc.LocalAudioTrack)
        microphone.track.mute()
        assert await goes_on()
        microphone.track.unmute()
        assert await goes_on()
        filled = value(await asyncio.to_thread(metrics, engine_port), "moshi_silent_frames_total")
        await caller.room.local_participant.unpublish_track(microphone.sid)
        assert await goes_on()
        told = value(await asyncio.to_thread(metrics, engine_port), "moshi_silent_frames_total")
        assert told > filled, "there is no track whose silence it could be"
