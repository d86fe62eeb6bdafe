"""`python -m load_tests.echo ROOM [FRAME_MS]`: a bare LiveKit agent that gives back what it hears, 80 ms at a
time unless it is told otherwise.

What it adds to a caller's lag is what LiveKit and such frames cost without any engine. It tells in an
attribute how long sound stays in its jitter buffer and in its track.
"""

import asyncio
import json
import sys
from collections.abc import Sequence

import numpy as np
from livekit import api, rtc

from load_tests.report.stages import ECHO_ATTRIBUTE
from worker.settings import LiveKitSettings
from worker.sound.jitter import JitterGauge
from worker.tokens import accept_development_secret

RATE, FRAME_MS, QUEUE_MS = 24_000, 80, 200
TELLS_EVERY_S = 3.0


def token(settings: LiveKitSettings, room: str) -> str:
    made = api.AccessToken(settings.livekit_api_key, settings.livekit_api_secret.get_secret_value())
    grant = api.VideoGrants(room_join=True, room=room, agent=True, can_update_own_metadata=True)
    made = made.with_identity("echo").with_kind("agent").with_grants(grant)
    # Where a room asks for an agent by name, a worker without a name leaves it alone.
    dispatch = api.RoomAgentDispatch(agent_name=settings.livekit_agent_name)
    return made.with_room_config(api.RoomConfiguration(agents=[dispatch])).to_jwt()


def quantiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    values = np.percentile(1000 * np.asarray(seconds), (50, 95, 99))
    return {name: round(float(value), 1) for name, value in zip(("p50", "p95", "p99"), values, strict=True)}


async def echo(settings: LiveKitSettings, room_name: str, frame_ms: int = FRAME_MS) -> None:
    """Until the caller has gone."""
    room = rtc.Room()
    tracks: asyncio.Queue[rtc.Track] = asyncio.Queue()
    gone = asyncio.Event()
    room.on("track_subscribed", lambda track, *_: tracks.put_nowait(track))
    room.on("participant_disconnected", lambda _: gone.set())
    await room.connect(settings.livekit_url, token(settings, room_name))
    source = rtc.AudioSource(RATE, 1, queue_size_ms=QUEUE_MS)
    track = rtc.LocalAudioTrack.create_audio_track("echo", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
    await room.local_participant.publish_track(track, options)
    print("ready", flush=True)

    jitter = JitterGauge()
    waited_s: dict[str, list[float]] = {"jitter": [], "playout": []}

    async def repeat(heard: rtc.Track) -> None:
        stream = rtc.AudioStream(heard, sample_rate=RATE, num_channels=1, frame_size_ms=frame_ms)
        async for event in stream:
            waited_s["playout"].append(source.queued_duration)
            if jitter.latest_s is not None:
                waited_s["jitter"].append(jitter.latest_s)
            await source.capture_frame(event.frame)

    async def tell() -> None:
        while True:
            await asyncio.sleep(TELLS_EVERY_S)
            stages = {name: quantiles_ms(values) for name, values in waited_s.items() if values}
            await room.local_participant.set_attributes({ECHO_ATTRIBUTE: json.dumps(stages)})

    async def work() -> None:
        heard = await tracks.get()
        await asyncio.gather(repeat(heard), tell(), jitter.watch(heard))

    repeating = asyncio.create_task(work())
    await gone.wait()
    repeating.cancel()
    await room.disconnect()


if __name__ == "__main__":
    accept_development_secret()
    asyncio.run(echo(LiveKitSettings.load(), sys.argv[1], *map(int, sys.argv[2:])))
