from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import SettingError
from load_tests.simulation.bench_file import BenchFile, BenchLevel, OpenLoop, Times
from load_tests.simulation.step_times import StepTimes

ONE = BenchLevel(1, Times(mean=10.5, p50=10.0, p95=14.0, p99=18.0, max=20.0), None)
FIVE = BenchLevel(5, Times(mean=21.0, p50=20.0, p95=28.0, p99=36.0, max=40.0), None)


def times(*levels: BenchLevel) -> StepTimes:
    return StepTimes.of(BenchFile("bench.json", "parrot", "full", levels))


def test_what_is_drawn_has_the_mean_and_the_quantiles_that_were_measured() -> None:
    shares = np.random.default_rng(1).random(20_000)
    found = times(ONE, FIVE)
    drawn_ms = [1000 * found.quantile_s(5, share) for share in shares.tolist()]
    assert np.mean(drawn_ms) == pytest.approx(21.0, rel=0.01)
    assert np.percentile(drawn_ms, (50, 95, 99)) == pytest.approx([20.0, 28.0, 36.0], rel=0.02)
    assert max(drawn_ms) <= 40.0


def test_between_two_numbers_of_sessions_a_step_lies_between_theirs() -> None:
    assert times(ONE, FIVE).quantile_s(3, 0.5) == pytest.approx(0.015)


def test_beyond_the_largest_number_the_line_goes_on() -> None:
    found = times(ONE, FIVE)
    assert found.quantile_s(9, 0.99) == pytest.approx(0.054)
    assert found.measured_up_to == 5


def test_a_line_is_the_same_for_every_step() -> None:
    found = StepTimes.line(8.0, 0.64)
    assert {round(found.quantile_s(40, share), 9) for share in (0.0, 0.3, 1.0)} == {0.0336}


@pytest.mark.parametrize("levels", [(ONE,), (FIVE,)])
def test_too_few_numbers_of_sessions_are_a_users_error(levels: tuple[BenchLevel, ...]) -> None:
    with pytest.raises(SettingError, match="one session and at least one larger number"):
        times(*levels)


def test_a_step_in_service_takes_as_much_longer_as_it_was_measured_to_take_with_one_session() -> None:
    loop = OpenLoop(
        10.0, Times(12.5, 12.0, 16.0, 20.0, 22.0), 1.0, Times(13.0, 12.0, 16.0, 20.0, 22.0), 0.0, 0.0
    )
    found = times(replace(ONE, open_loop=loop), FIVE)
    assert found.quantile_s(1, 0.5) == pytest.approx(0.012)
    assert found.quantile_s(5, 0.5) == pytest.approx(0.022)
    # The engine decides by steps one after the other.
    assert found.as_admitted(5).answer_s(5) == pytest.approx(0.054)


def test_the_engines_own_rule_decides_what_is_offered() -> None:
    admitted = times(ONE, FIVE).as_admitted(5)
    assert admitted.answer_s(5) == pytest.approx(0.054)
    assert admitted.in_time(5)


def test_a_file_is_read_by_its_context(tmp_path: Path) -> None:
    committed = Path(__file__).parents[3] / "load_tests" / "results" / "parrot-bench-cpu.json"
    bench = BenchFile.read(committed, "full")
    assert [level.sessions for level in bench.levels] == [1, 8, 32]
    assert all(level.open_loop is not None for level in bench.levels)
    with pytest.raises(SettingError, match="at empty, full"):
        BenchFile.read(committed, "500")


@pytest.mark.parametrize("text", ["", "[]", '{"levels": 3}', '{"levels": [{}]}'])
def test_another_file_is_a_users_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(SettingError, match="engine bench --json"):
        BenchFile.read(tmp_path / "other.json", "full")


def test_a_file_that_there_is_not_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="No such file"):
        BenchFile.read(tmp_path / "none.json", "full")
