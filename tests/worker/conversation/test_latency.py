import json

import pytest

from worker.conversation.latency import CallLatency


def test_a_wait_is_jitter_buffer_worker_and_playout_together() -> None:
    latency = CallLatency()
    latency.add(jitter_s=0.030, worker_s=0.040, playout_s=0.005)
    shown = json.loads(latency.to_json())
    wait = pytest.approx(75, abs=1)
    assert shown == {"p50_ms": wait, "p95_ms": wait, "p99_ms": wait, "frames": 1, "missed": 0}


def test_quantiles_are_those_of_the_whole_call() -> None:
    latency = CallLatency()
    for millisecond in range(101):
        latency.add(0.0, millisecond / 2000, 0.0)
    shown = json.loads(latency.to_json())
    quantiles = [shown["p50_ms"], shown["p95_ms"], shown["p99_ms"]]
    assert quantiles == pytest.approx([25, 48, 50], abs=1)
    assert shown["frames"] == 101


def test_an_answer_that_takes_more_than_a_frames_time_is_a_miss() -> None:
    latency = CallLatency()
    for worker_s in (0.079, 0.081, 0.2):
        latency.add(jitter_s=0.1, worker_s=worker_s, playout_s=0.1)
    assert json.loads(latency.to_json())["missed"] == 2


def test_the_summary_has_each_stage_of_the_whole_call() -> None:
    latency = CallLatency()
    assert latency.summary() == {"frames": 0, "missed": 0}
    latency.stepped(queue_s=0.001, step_s=0.020)
    latency.add(jitter_s=None, worker_s=0.040, playout_s=0.005)
    summary = latency.summary()
    assert summary["queue_p99_ms"] == pytest.approx(1, rel=0.02)
    assert summary["step_p50_ms"] == pytest.approx(20, rel=0.02)
    assert summary["worker_p95_ms"] == pytest.approx(40, rel=0.02)
    assert summary["playout_p95_ms"] == pytest.approx(5, rel=0.02)
    assert summary["wait_p50_ms"] == pytest.approx(45, rel=0.02)
    assert not [name for name in summary if name.startswith("jitter")], "it was never known"
