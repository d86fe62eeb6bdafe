import pytest

from load_tests.measured import Budget
from load_tests.report.budget import REST, budget, budget_of_sockets
from load_tests.report.stages import Stages, StageTimes
from tests.load_tests.report.made import PAGE, call, run

FIXED_MS = 10 + 17 + 80 + 17 + 10


def medians(of: Budget | None) -> dict[str, float]:
    assert of is not None
    return {stage.name: stage.p50_ms for stage in of.stages}


def test_the_medians_add_up_to_what_was_measured() -> None:
    made = medians(budget(run("the service", 1000.0, call(0, 1240.0), call(1, 1240.0)), PAGE))
    assert sum(made.values()) == pytest.approx(240)
    assert made["between worker and step"] == pytest.approx(32 - 6 - 21)
    assert made["network, there"] == made["network, back"] == 0.5
    # queue, step, between, track, two jitter buffers, the network both ways
    assert made[REST] == pytest.approx(240 - FIXED_MS - 32 - 30 - 30 - 30 - 1)


def test_parts_that_claim_more_than_there_was_are_shown_as_such() -> None:
    assert medians(budget(run("the service", 0.0, call(0, 200.0)), PAGE))[REST] < 0


def test_what_nobody_measured_is_in_the_rest() -> None:
    blind = call(0, 240.0, rtt_ms=None, jitter_buffer_ms=None)
    made = medians(budget(run("the service", 0.0, blind), None))
    packets = {"packets and codec, there", "packets and codec, back"}
    assert set(made) == {"capture", *packets, "80 ms frame", "playout", REST}
    assert made[REST] == pytest.approx(240 - FIXED_MS)


def test_an_echo_has_no_engine() -> None:
    told = Stages("the echo", 1, {"jitter": StageTimes(30, 35, 40), "playout": StageTimes(10, 15, 20)})
    made = budget(run("bare echo", 0.0, call(0, 190.0)), told)
    assert made is not None
    stages = {stage.name: stage for stage in made.stages}
    assert stages["reserve of the track"].p95_ms == 15
    assert "the echo" in stages["jitter buffer of the agent"].how
    assert not {"queue", "step"} & set(stages)


def test_where_nothing_was_heard_there_are_parts_and_no_rest() -> None:
    made = medians(budget(run("the service", 0.0, call(0)), PAGE))
    assert made["step"] == 21
    assert REST not in made


def test_where_nobody_was_let_in_there_is_no_budget() -> None:
    assert budget(run("the service", 0.0, call(0, refused="engine_full")), PAGE) is None


def test_callers_of_a_socket_have_neither_network_nor_jitter_buffers() -> None:
    made = medians(budget_of_sockets(run("the engine", 0.0, call(0, 120.0, kind="session")), PAGE))
    assert made == pytest.approx({"80 ms frame": 80, "queue": 6, "step": 21, "playout": 10, REST: 3})
    assert budget_of_sockets(run("the engine", 0.0, call(0, kind="session")), PAGE) is None
