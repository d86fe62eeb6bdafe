"""`python -m load_tests.echo ROOM`: a bare LiveKit agent that gives back what it hears, 80 ms at a time.

What it adds to a caller's lag is what LiveKit and 80 ms frames cost without any engine.
"""

import asyncio
import sys

from livekit import api, rtc

from worker.settings import LiveKitSettings

RATE, FRAME_MS, QUEUE_MS = 24_000, 80, 200


def token(settings: LiveKitSettings, room: str) -> str:
    made = api.AccessToken(settings.livekit_api_key, settings.livekit_api_secret.get_secret_value())
    grant = api.VideoGrants(room_join=True, room=room, agent=True)
    return made.with_identity("echo").with_kind("agent").with_grants(grant).to_jwt()


async def echo(settings: LiveKitSettings, room_name: str) -> None:
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

    async def repeat() -> None:
        stream = rtc.AudioStream(await tracks.get(), sample_rate=RATE, num_channels=1, frame_size_ms=FRAME_MS)
        async for event in stream:
            await source.capture_frame(event.frame)

    repeating = asyncio.create_task(repeat())
    await gone.wait()
    repeating.cancel()
    await room.disconnect()


if __name__ == "__main__":
    asyncio.run(echo(LiveKitSettings.load(), sys.argv[1]))
