import asyncio
from typing import cast

import pytest
from livekit import rtc
from livekit.rtc._proto.stats_pb2 import RtcStats

from tests.worker.waiting import until
from worker.sound import jitter
from worker.sound.jitter import JitterGauge, JitterTotals


def test_the_mean_is_that_of_the_time_since() -> None:
    before, now = JitterTotals(1.0, 48_000), JitterTotals(1.0 + 0.03 * 48_000, 96_000)
    assert now.mean_since(before) == pytest.approx(0.03)


def test_nothing_emitted_or_counted_anew_is_no_mean() -> None:
    assert JitterTotals(1.0, 480).mean_since(JitterTotals(1.0, 480)) is None
    assert JitterTotals(1.0, 480).mean_since(JitterTotals(9.0, 9600)) is None


class Track:
    """Has emitted another second each time it is asked, each sample 30 ms late."""

    def __init__(self) -> None:
        self.seconds = 0
        self.fails = False

    async def get_stats(self) -> list[RtcStats]:
        self.seconds += 1
        if self.fails:
            raise Exception("no stats")
        report = RtcStats()
        report.inbound_rtp.inbound.jitter_buffer_emitted_count = 48_000 * self.seconds
        report.inbound_rtp.inbound.jitter_buffer_delay = 0.03 * 48_000 * self.seconds
        return [report]


async def test_a_track_is_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jitter, "INTERVAL_S", 0.001)
    gauge, track = JitterGauge(), Track()
    watching = asyncio.create_task(gauge.watch(cast(rtc.Track, track)))
    await until(lambda: track.seconds > 2)
    assert gauge.latest_s == pytest.approx(0.03)
    watching.cancel()


async def test_nothing_is_known_before_the_first_answer_and_while_there_is_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jitter, "INTERVAL_S", 0.001)
    gauge, track = JitterGauge(), Track()
    assert gauge.latest_s is None
    watching = asyncio.create_task(gauge.watch(cast(rtc.Track, track)))
    await until(lambda: gauge.latest_s is not None)
    track.fails = True
    await until(lambda: gauge.latest_s is None)
    failed_at = track.seconds
    await until(lambda: track.seconds > failed_at + 2)
    track.fails = False
    await until(lambda: gauge.latest_s is not None)
    assert gauge.latest_s == pytest.approx(0.03)
    assert caplog.text.count("jitter buffer could not be read") == 1
    watching.cancel()
