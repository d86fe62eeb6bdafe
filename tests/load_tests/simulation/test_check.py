"""The simulation against what the real engine was measured to do."""

from pathlib import Path

import pytest

from load_tests.simulation.bench_file import BenchFile
from load_tests.simulation.check import compare
from load_tests.simulation.step_times import StepTimes

RESULTS = Path(__file__).parents[3] / "load_tests" / "results"


@pytest.mark.parametrize("context", ["empty", "full"])
def test_the_usual_answer_of_the_engine_is_foreseen(context: str) -> None:
    bench = BenchFile.read(RESULTS / "parrot-bench-cpu.json", context)
    for comparison in compare(bench, StepTimes.of(bench), spell_s=0.0, runs=2):
        assert comparison.expected.answer.p50 == pytest.approx(comparison.measured.answer.p50, rel=0.2)
        assert comparison.expected.mean_batch == pytest.approx(comparison.measured.mean_batch, rel=0.2)
