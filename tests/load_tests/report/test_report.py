import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import SettingError
from load_tests.report.machine import Machine
from load_tests.report.plot import plot
from load_tests.report.processes import WHOLE_MACHINE
from load_tests.report.report import Report
from load_tests.report.table import MOST_CALLERS, text
from tests.load_tests.report.made import MACHINE, call, process, random_report, run


def line(of: str, begins: str) -> str:
    (found,) = [each for each in of.splitlines() if each.startswith(begins)]
    return found


def test_the_table_says_everything_that_was_measured() -> None:
    shown = text(random_report())
    assert "a processor, 2 cores" in shown
    assert line(shown, "callers, refused").split()[-6:] == ["4,", "0,", "0", "5,", "1,", "0"]
    assert "<- worst" in line(shown, "3 room-3")
    assert "refused after 0.4 s: engine_full" in line(shown, "4 room-4")
    assert line(shown, "worker's jobs").split()[2:5] == ["1", "14.0", "28.0"]
    assert line(shown, "step").split()[1:5] == ["-", "-", "21.0", "33.0"]
    assert line(shown, "MISSED: added").endswith("(at most 20)")
    assert line(shown, "met: worker").startswith("met: worker, of a core a session 4.2 %")


def test_a_run_of_which_little_is_known_has_a_table_too() -> None:
    shown = text(Report(MACHINE, run("the service", 80.0, call(0, similarity=(), frames=0))))
    assert line(shown, "mouth to ear beyond it, p95").split()[-1] == "-"
    assert "not measured: added to the bare echo" in shown


def test_of_many_callers_the_worst_are_shown() -> None:
    calls = [call(number, 200.0) for number in range(40)]
    calls[37] = call(37, 900.0)
    shown = text(Report(MACHINE, run("the service", 0.0, *calls)))
    assert line(shown, "37 room-37").endswith("<- worst")
    assert f"and {40 - MOST_CALLERS} more" in shown


def test_what_was_estimated_is_marked_and_judged_by_nobody() -> None:
    estimated = call(0, lag_estimate_ms=(300.0, 340.0, 360.0))
    shown = text(Report(MACHINE, run("the service", 80.0, estimated), run("bare echo", 0.0, call(0, 190.0))))
    assert line(shown, "estimated:").split()[-4:] == ["~300,", "~340,", "~360", "ms"]
    assert line(shown, "0 room-0").split()[4:7] == ["~300.0", "~340.0", "~360.0"]
    assert "not measured: added" in shown


def test_numbers_of_a_machine_that_was_busy_are_doubted() -> None:
    quiet = random_report()
    assert quiet.doubts == ()
    late = call(0, 200.0, send_late_ms=(1.0, 30.0, 90.0))
    full = run("the service", 0.0, late, processes=(process(WHOLE_MACHINE, 190.0),))
    busy = Report(replace(MACHINE, load_average=3.0), full)
    assert [" ".join(doubt.split()[:3]) for doubt in busy.doubts] == [
        "2 cores had",
        "the service: callers",
        "the service: 190",
    ]
    assert text(busy).count("doubt: ") == 3


def test_a_call_that_broke_off_says_so() -> None:
    broken = call(0, 200.0, lost="the agent was gone after 5.0 s")
    assert "gone after 5.0 s" in line(text(Report(MACHINE, run("the service", 0.0, broken))), "0 room-0")


def test_notes_of_a_run_are_shown() -> None:
    assert "note, the service: estimated" in text(
        Report(MACHINE, run("the service", 0.0, call(0, 1.0), notes=("estimated",)))
    )


def test_the_file_holds_what_was_measured_and_what_follows_from_it(tmp_path: Path) -> None:
    report = random_report()
    report.write(tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text())
    echo, service = read["runs"]
    assert read["machine"]["command"] == "python -m load_tests callers --rooms 4"
    assert (echo["what"], service["what"]) == ("bare echo", "the service")
    assert service["calls"][4]["refused"] == "engine_full"
    assert len(service["calls"][0]["lags_ms"]) == 33
    assert service["summary"]["worst"] == 3
    assert service["budget"]["stages"][-1]["name"] == "not accounted for"
    assert read["goals"][0]["met"] is False
    assert read["added_ms"]["p95"] == pytest.approx(
        service["summary"]["lag_ms"]["p95"] - echo["summary"]["lag_ms"]["p95"], abs=0.01
    )


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"--json .*nowhere"):
        random_report().write(tmp_path / "nowhere" / "report.json")


@pytest.mark.parametrize("callers", [0, 1, 20])
def test_the_picture_is_drawn_for_any_number_of_callers(tmp_path: Path, callers: int) -> None:
    plot(random_report(callers), tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_a_run_that_heard_nothing_is_drawn_too(tmp_path: Path) -> None:
    plot(Report(MACHINE, run("the service", 80.0, call(0))), tmp_path / "report.svg")
    assert "refused" not in (tmp_path / "report.svg").read_text()


def test_a_format_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--plot"):
        plot(random_report(1), tmp_path / "report.nothing")


def test_this_machine_says_what_it_is() -> None:
    machine = Machine.now()
    assert machine.cores >= 1
    assert machine.memory_mb > 100
    assert "pytest" in machine.command
