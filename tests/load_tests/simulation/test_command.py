import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from load_tests.simulation.command import app

BENCH = Path(__file__).parents[3] / "load_tests" / "results" / "parrot-bench-cpu.json"


def test_the_scheduler_is_told_as_a_table_a_file_and_a_picture(tmp_path: Path) -> None:
    files = ["--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / "found.png")]
    options = ["--results", str(BENCH), "--sessions", "4,40", "--seconds", "2", *files]
    done = CliRunner().invoke(app, ["scheduler", *options])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("parrot, weights exact")
    found = json.loads((tmp_path / "found.json").read_text())
    assert [level["sessions"] for level in found["levels"]] == [4, 40]
    assert found["levels"][0]["solved"]
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_steps_can_be_given_by_two_numbers() -> None:
    done = CliRunner().invoke(app, ["scheduler", "--step", "8,0.64", "--sessions", "40", "--seconds", "2"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].split()[:2] == ["40", "5.8"]


def test_batches_larger_than_what_was_measured_are_told() -> None:
    options = ["--results", str(BENCH), "--sessions", "64", "--phases", "aligned", "--seconds", "2"]
    done = CliRunner().invoke(app, ["scheduler", *options])
    assert "100 % of the steps hold more than were measured" in done.stdout


def test_the_check_shows_what_was_measured_under_what_was_expected(tmp_path: Path) -> None:
    files = ["--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / "found.svg")]
    done = CliRunner().invoke(
        app, ["check", "--results", str(BENCH), "--context", "empty", "--runs", "1", *files]
    )
    assert done.exit_code == 0, done.output
    assert sum(line.startswith("measured") for line in done.stdout.splitlines()) == 3
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["levels"][0]["measured"]["answer"]["p50"] == pytest.approx(14.4, abs=0.1)


def test_a_fleet_is_told_as_a_table_a_file_and_a_picture(tmp_path: Path) -> None:
    files = ["--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / "found.png")]
    options = ["--engines", "1,2", "--hours", "2", "--runs", "2", *files]
    done = CliRunner().invoke(app, ["fleet", *options])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "found.json").read_text())
    assert [outlook["fleet"]["engines"] for outlook in found["outlooks"]] == [1, 2]
    assert found["outlooks"][0]["fleet"]["failure_every_s"] is None
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_seats_are_told_with_the_calls_that_they_carry(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    done = CliRunner().invoke(app, ["seats", "--engines", "1,2", "--seats", "8", "--json", str(found)])
    assert done.exit_code == 0, done.output
    one, two = json.loads(found.read_text())["fleets"]
    assert (one["seats"], two["seats"]) == (8, 16)
    # As in printed tables of Erlang B for one refusal in a thousand.
    assert one["calls"] == pytest.approx(2.05, abs=0.01)
    assert two["calls"] == pytest.approx(6.72, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("scheduler", "either --results FILE or --step BASE,EACH"),
        ("scheduler --step 8,0.64 --results x.json", "either --results FILE or --step BASE,EACH"),
        ("scheduler --step 8", "give two numbers of milliseconds"),
        ("scheduler --step 8,nan", "give two numbers of milliseconds"),
        ("scheduler --step 8,1 --sessions 0", "--sessions 0: give numbers"),
        ("check --results x.json", "x.json: No such file"),
        ("fleet --engines many", "--engines many: give numbers"),
        ("fleet --json /nowhere/found.json", "cannot write /nowhere/found.json"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(arguments: str, says: str) -> None:
    done = CliRunner().invoke(app, arguments.split())
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
