"""Calls that were made up sample by sample, so that every number is known before it is measured."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from load_tests.callers.line import LineMeasured
from load_tests.callers.measure import measured, said_by
from load_tests.callers.recorded import PIECE_S, PIECE_SAMPLES, CallRecorded
from load_tests.callers.script import Script
from load_tests.callers.times import CAPTURE_S, PLAYOUT_S
from load_tests.measured import CallMeasured
from load_tests.report.budget import HOP_MS

SECONDS, LISTENS_S = 15.0, 4.0
WAY_S = 0.15
FIRST_PIECE_S = 0.013
SCRIPTS = tuple(Script.of(5, number, SECONDS) for number in range(2))


def came_back(pcm: NDArray[np.int16], after_s: float) -> NDArray[np.float64]:
    """What arrives of what left, at 24 kHz. Its first piece is whole FIRST_PIECE_S after all began."""
    heard = np.zeros(round((SECONDS + LISTENS_S) / PIECE_S) * PIECE_SAMPLES)
    begin = round((after_s - FIRST_PIECE_S + PIECE_S) * 24_000)
    halved = pcm[::2]
    heard[begin : begin + len(halved)] += halved
    return heard


def times(pieces: int, first_s: float = 0.0) -> NDArray[np.float64]:
    return np.asarray(first_s + PIECE_S * np.arange(pieces), np.float64)


def recorded(number: int, heard: NDArray[np.float64]) -> CallRecorded:
    pieces = np.clip(heard, -32768, 32767).astype(np.int16).reshape(-1, PIECE_SAMPLES)
    return CallRecorded(
        number,
        "webrtc",
        "room",
        join_s=1.0,
        first_audio_s=0.9,
        out_at_s=times(round(SECONDS / PIECE_S)),
        heard=pieces,
        arrived_at_s=times(len(pieces), FIRST_PIECE_S),
        line=LineMeasured(1.0, 2.0, 30.0, 0.0),
        latency={"p50_ms": 40, "p95_ms": 60, "p99_ms": 90, "frames": 180, "missed": 2},
    )


def understand(call: CallRecorded, model_delay_s: float | None) -> CallMeasured:
    """As the command does, beside a caller whose call went well."""
    own, script = said_by(call, SCRIPTS[call.number]), SCRIPTS[call.number]
    other = 1 - call.number
    others = said_by(recorded(other, np.zeros(PIECE_SAMPLES)), SCRIPTS[other])
    return measured(call, script, own, others, model_delay_s)


@pytest.mark.parametrize("model_delay_s", [0.0, 1.0])
def test_every_utterance_is_heard_again_with_its_lag(model_delay_s: float) -> None:
    call = understand(recorded(0, came_back(SCRIPTS[0].pcm, model_delay_s + WAY_S)), model_delay_s)
    assert call.said == call.heard == len(SCRIPTS[0].utterances) == len(call.lags_ms)
    # The way from track to track, and the pieces of 10 ms at both its ends.
    expected_ms = 1000 * (model_delay_s + WAY_S + CAPTURE_S + PLAYOUT_S)
    assert call.lags_ms == pytest.approx([expected_ms] * call.heard, abs=1.5)
    assert min(call.similarity) > 0.95
    assert call.gaps_ms == ()
    assert call.leaked == 0
    assert (call.frames, call.missed) == (180, 2)


def test_what_does_not_come_back_was_said_all_the_same() -> None:
    call = understand(recorded(0, np.zeros(PIECE_SAMPLES * 900)), 0.0)
    assert (call.heard, call.lags_ms, call.similarity) == (0, (), ())
    assert call.said == len(SCRIPTS[0].utterances)


def test_what_comes_too_late_did_not_come_back() -> None:
    call = understand(recorded(0, came_back(SCRIPTS[0].pcm, 3.5)), 0.0)
    assert call.heard == 0


@pytest.mark.parametrize("level", [1.0, 0.5])
def test_a_stranger_in_the_line_is_found(level: float) -> None:
    own, strange = (came_back(script.pcm, 1.0 + WAY_S) for script in SCRIPTS)
    call = understand(recorded(0, own + level * strange), 1.0)
    assert call.leaked > len(SCRIPTS[1].utterances) / 2


def test_so_is_one_who_is_there_instead() -> None:
    call = understand(recorded(0, came_back(SCRIPTS[1].pcm, 1.0 + WAY_S)), 1.0)
    assert call.heard == 0
    assert call.leaked == len(SCRIPTS[1].utterances)


def test_a_hole_in_what_comes_back_is_a_gap() -> None:
    heard = came_back(SCRIPTS[0].pcm, WAY_S)
    loud = SCRIPTS[0].utterances[1]
    middle = round((loud.at_s + WAY_S) * 24_000) + len(loud.sound) // 4
    heard[middle : middle + round(0.15 * 24_000)] = 0
    call = understand(recorded(0, heard), 0.0)
    assert len(call.gaps_ms) == 1
    assert 60 < call.gaps_ms[0] < 220


def test_what_left_late_is_told_and_is_no_lag() -> None:
    call = recorded(0, came_back(SCRIPTS[0].pcm, WAY_S))
    late = replace(call, out_at_s=call.out_at_s + 0.05, arrived_at_s=call.arrived_at_s + 0.05)
    found = understand(late, 0.0)
    assert found.send_late_ms == pytest.approx((50, 50, 50))
    assert found.lags_ms == pytest.approx(understand(call, 0.0).lags_ms, abs=0.1)


def test_of_a_model_that_does_not_repeat_the_lag_is_added_up() -> None:
    call = understand(recorded(0, came_back(SCRIPTS[0].pcm, WAY_S)), None)
    # Pieces 10 + 10, a frame 80, round trip 2, jitter buffer 30, packets and codec twice.
    around_ms = 132 + 2 * HOP_MS
    assert call.lag_estimate_ms == pytest.approx((40 + around_ms, 60 + around_ms, 90 + around_ms))
    assert (call.lags_ms, call.heard, call.leaked) == ((), 0, 0)


def test_one_who_was_refused_has_said_all_in_vain() -> None:
    refused = CallRecorded(0, "webrtc", "room", refused="full", refused_after_s=2.0)
    call = understand(refused, 1.0)
    assert (call.refused, call.refused_after_s) == ("full", 2.0)
    assert call.said == len(SCRIPTS[0].utterances)
    assert call.heard == 0
    assert said_by(refused, SCRIPTS[0]) == ()
