"""`python -m load_tests wire`: what one call puts on the network, and what it asks of Redis."""

import asyncio
import json
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import typer
from livekit import rtc
from numpy.typing import NDArray

from engine.bench import origin
from engine.errors import SettingError
from engine.output_files import check_writable
from load_tests import options as common
from load_tests.report.machine import Machine
from load_tests.report.outcome import errors_told
from worker.caller.caller import SPEAKING_RATE, Caller, new_room
from worker.caller.sound_files import read
from worker.settings import LiveKitSettings

SPEECH = Path(__file__).parents[1] / "deploy" / "sample.wav"
HEADER_BYTES = 28
"""IPv4 and UDP of each packet, which WebRTC does not count."""
_SETTLING_S = 3.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets and bytes of a caller's connections so far, headers of UDP and IP included."""

    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int

    @classmethod
    def of(cls, stats: rtc.RtcStats) -> Self:
        """All of a room's connections."""
        both = [*stats.publisher_stats, *stats.subscriber_stats]
        all_of = [each.transport.transport for each in both if each.WhichOneof("stats") == "transport"]
        # Where both directions share a connection, all of it is told of the publisher's.
        sent, received = (
            sum(each.packets_sent for each in all_of),
            sum(each.packets_received for each in all_of),
        )
        return cls(
            sent,
            received,
            sum(each.bytes_sent for each in all_of) + HEADER_BYTES * sent,
            sum(each.bytes_received for each in all_of) + HEADER_BYTES * received,
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a Redis has done so far: commands, and bytes in and out together."""

    commands: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, address: str) -> Self:
        """Nothing without an address. Raises SettingError if it cannot be asked."""
        if not address:
            return cls()
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                connection.sendall(b"INFO stats\r\nQUIT\r\n")
                told = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
        except (OSError, ValueError) as error:
            raise SettingError(
                f"--redis {address}: {error}; give HOST:PORT of one without a password"
            ) from None
        found = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
        names = ("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes")
        if not set(names) <= set(found):
            raise SettingError(f"--redis {address}: this does not tell its statistics")
        commands, bytes_in, bytes_out = (int(found[name]) for name in names)
        return cls(commands, bytes_in + bytes_out)


@dataclass(frozen=True, slots=True)
class Redis:
    """Commands a second while nobody calls and during a call, and what a whole call adds to the former."""

    idle_commands_s: float
    in_call_commands_s: float
    call_commands: float
    call_kbyte: float


@dataclass(frozen=True, slots=True)
class Wire:
    """One call: kilobits and packets a second at its caller, over `seconds` of speech."""

    seconds: float
    sent_kbit_s: float
    received_kbit_s: float
    sent_packets_s: float
    received_packets_s: float
    redis: Redis | None


def main(
    seconds: Annotated[float, typer.Option(min=1, help="How long the call is measured.")] = 40.0,
    redis: Annotated[str, typer.Option(help="HOST:PORT of LiveKit's Redis, to count what it is asked.")] = "",
    url: common.Url = None,
    agent: common.Agent = None,
    result: common.Json = None,
) -> None:
    """Call once, speak without a pause, and say what that puts on the network and asks of Redis."""
    with errors_told():
        check_writable(result)
        settings = LiveKitSettings.load(livekit_url=url, livekit_agent_name=agent)
        found = asyncio.run(measure(settings, seconds, redis))
        print(f"caller sends    {found.sent_kbit_s:6.1f} kbit/s in {found.sent_packets_s:.1f} packets/s")
        print(
            f"caller receives {found.received_kbit_s:6.1f} kbit/s in {found.received_packets_s:.1f} packets/s"
        )
        if found.redis is not None:
            print(
                f"Redis: {found.redis.idle_commands_s:.1f} commands/s while nobody calls, "
                f"{found.redis.in_call_commands_s:.1f} during the call; all of it adds "
                f"{found.redis.call_commands:.0f} commands, {found.redis.call_kbyte:.0f} kB"
            )
        if result is not None:
            made = {"command": origin.command(), "commit": origin.commit(), "date": origin.today()}
            result.write_text(
                json.dumps({**made, "machine": asdict(Machine.now()), **asdict(found)}, indent=2) + "\n"
            )


async def measure(settings: LiveKitSettings, seconds: float, redis: str = "") -> Wire:
    """Of one call. Raises NoAgent, NoConnection or SettingError."""
    speech = read(SPEECH, SPEAKING_RATE)
    asked = [Asked.of(redis)]
    if redis:
        await asyncio.sleep(seconds)
    began_at = time.monotonic()
    asked.append(Asked.of(redis))
    async with Caller.join(settings, new_room()) as caller:
        await caller.wait_for_agent()
        speaking = asyncio.create_task(_speak(caller, speech))
        await asyncio.sleep(_SETTLING_S)
        asked.append(Asked.of(redis))
        first, first_at = Traffic.of(await caller.room.get_rtc_stats()), time.monotonic()
        await asyncio.sleep(seconds)
        last, passed_s = Traffic.of(await caller.room.get_rtc_stats()), time.monotonic() - first_at
        asked.append(Asked.of(redis))
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
    await asyncio.sleep(_SETTLING_S)
    asked.append(Asked.of(redis))
    return Wire(
        passed_s,
        (last.bytes_sent - first.bytes_sent) * 8e-3 / passed_s,
        (last.bytes_received - first.bytes_received) * 8e-3 / passed_s,
        (last.packets_sent - first.packets_sent) / passed_s,
        (last.packets_received - first.packets_received) / passed_s,
        asked_by_a_call(asked, seconds, passed_s, time.monotonic() - began_at) if redis else None,
    )


def asked_by_a_call(asked: list[Asked], idle_s: float, in_call_s: float, whole_s: float) -> Redis:
    """asked: idle from, idle until and the call from, steady from, steady until, the call until."""
    start, before, steady, still, after = asked
    idle = (before.commands - start.commands) / idle_s
    idle_bytes = (before.bytes - start.bytes) / idle_s
    return Redis(
        idle,
        (still.commands - steady.commands) / in_call_s,
        after.commands - before.commands - idle * whole_s,
        (after.bytes - before.bytes - idle_bytes * whole_s) / 1000,
    )


async def _speak(caller: Caller, speech: NDArray[np.int16]) -> None:
    while True:
        await caller.say(speech)
