import json

import pytest

from engine.service.metrics import Metrics
from engine.service.seats import Seats
from load_tests.report.stages import ECHO_ATTRIBUTE, Stages
from tests.engine.fake_clock import FakeClock


def test_the_page_of_a_real_engine_is_read() -> None:
    clock = FakeClock()
    metrics = Metrics(Seats(2, clock), clock)
    for session, step_s in (("one", 0.02), ("two", 0.04)):
        metrics.begin(session)
        metrics.observe(session, "step", step_s)
    metrics.observe("one", "jitter", 0.03)
    read = Stages.of_page(metrics.text().decode())
    assert read.sessions == 2
    assert read.stages["step"].p50 == pytest.approx(30, rel=0.02)
    assert read.stages["jitter"].p95 == pytest.approx(30, rel=0.02)
    assert "queue" not in read.stages


def test_a_page_without_calls_has_no_stages() -> None:
    clock = FakeClock()
    read = Stages.of_page(Metrics(Seats(2, clock), clock).text().decode())
    assert (read.sessions, dict(read.stages)) == (0, {})


def test_echoes_tell_for_themselves() -> None:
    told = [
        {ECHO_ATTRIBUTE: json.dumps({"playout": {"p50": millis, "p95": 20, "p99": 30}})}
        for millis in (10, 14)
    ]
    read = Stages.of_echoes([*told, {"lk.agent.state": "listening"}])
    assert (read.sessions, read.stages["playout"].p50) == (2, 12)
