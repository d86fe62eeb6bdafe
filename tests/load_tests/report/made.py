"""Runs that nobody made calls for."""

import random
from dataclasses import replace

from load_tests.measured import CallMeasured, ProcessMeasured, RunMeasured
from load_tests.report.budget import budget
from load_tests.report.machine import Machine
from load_tests.report.report import Report
from load_tests.report.stages import Stages, StageTimes

MACHINE = Machine(
    processor="a processor",
    cores=2,
    memory_mb=8000,
    load_average=0.1,
    system="Linux",
    python="3.11.7",
    versions={},
    commit="abc+",
    command="python -m load_tests callers --rooms 4",
    date="2026-11-23T15:00:00+00:00",
)
PAGE = Stages(
    "/metrics",
    4,
    {
        "queue": StageTimes(6.0, 22.0, 30.0),
        "step": StageTimes(21.0, 33.0, 40.0),
        "answer": StageTimes(29.0, 56.0, 70.0),
        "worker": StageTimes(32.0, 60.0, 80.0),
        "playout": StageTimes(30.0, 55.0, 60.0),
        "jitter": StageTimes(30.0, 40.0, 50.0),
    },
)


def call(number: int, *lags_ms: float, **more: object) -> CallMeasured:
    made = CallMeasured(
        number,
        "webrtc",
        f"room-{number}",
        join_s=0.4,
        first_audio_s=0.5,
        said=len(lags_ms),
        heard=len(lags_ms),
        lags_ms=lags_ms,
        similarity=tuple(0.95 for _ in lags_ms),
        send_late_ms=(0.1, 0.5, 1.0),
        jitter_buffer_ms=30.0,
        rtt_ms=1.0,
        concealed_share=0.0,
        frames=750,
    )
    return replace(made, **more)  # type: ignore[arg-type]  # fields by their names


def process(name: str, percent: float) -> ProcessMeasured:
    return ProcessMeasured(name, percent, 2 * percent, 100.0, 101.0, 102.0, 50.0)


def run(what: str, model_delay_ms: float, *calls: CallMeasured, **more: object) -> RunMeasured:
    return replace(RunMeasured(what, model_delay_ms, 60.0, calls), **more)  # type: ignore[arg-type]  # as above


def random_report(callers: int = 4, seed: int = 1) -> Report:
    """A report such as a real run gives, with a caller who was refused."""
    noise = random.Random(seed)

    def calls(middle_ms: float, spread_ms: float) -> list[CallMeasured]:
        return [
            call(number, *(noise.gauss(middle_ms + 4 * number, spread_ms) for _ in range(33)))
            for number in range(callers)
        ]

    echo = run("bare echo", 0.0, *calls(185, 4))
    refused = call(callers, refused="engine_full", refused_after_s=0.4, said=0, heard=0)
    used = (process("LiveKit server", 12), process("worker", 3), process("worker's jobs", 14))
    service = run("the service", 1007.0, *calls(1007 + 225, 12), refused, processes=used)
    told = Stages(
        "the echo", 4, {"jitter": StageTimes(30.0, 40.0, 50.0), "playout": StageTimes(12.0, 20.0, 30.0)}
    )
    return Report(
        MACHINE, replace(service, budget=budget(service, PAGE)), replace(echo, budget=budget(echo, told))
    )
