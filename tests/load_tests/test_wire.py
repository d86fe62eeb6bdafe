from pathlib import Path

import pytest
from livekit import rtc
from livekit.rtc._proto.stats_pb2 import RtcStats
from typer.testing import CliRunner

from load_tests.__main__ import app
from load_tests.wire import HEADER_BYTES, Asked, Redis, Traffic, asked_by_a_call
from tests.end_to_end.redis import redis


def test_a_real_redis_tells_what_it_was_asked(tmp_path: Path) -> None:
    with redis(tmp_path) as address:
        before, after = Asked.of(address), Asked.of(address)
    assert before.commands >= 1
    assert after.commands > before.commands
    assert after.bytes > before.bytes


def test_what_is_asked_while_nobody_calls_is_not_the_calls() -> None:
    asked = [Asked(0, 0), Asked(20, 2_000), Asked(120, 9_000), Asked(170, 15_000), Asked(200, 20_000)]
    # 2 a second, for 10 s; a call of 30 s, 10 s of it watched.
    assert asked_by_a_call(asked, 10.0, 10.0, 30.0) == Redis(2.0, 5.0, 120.0, 12.0)


def test_headers_count_as_what_passes() -> None:
    told = RtcStats()
    counted = told.transport.transport
    counted.packets_sent, counted.bytes_sent = 50, 10_000
    counted.packets_received, counted.bytes_received = 40, 8_000
    assert Traffic.of(rtc.RtcStats([told], [])) == Traffic(
        50, 40, 10_000 + 50 * HEADER_BYTES, 8_000 + 40 * HEADER_BYTES
    )


@pytest.mark.parametrize("address", ["127.0.0.1:9", "redis", "127.0.0.1:many"])
def test_a_redis_that_is_none_is_told_in_one_line(address: str) -> None:
    done = CliRunner().invoke(app("wire"), ["wire", "--redis", address])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: --redis {address}: ")
    assert "Traceback" not in done.output
