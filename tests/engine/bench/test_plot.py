from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.bench.machine import Machine
from engine.bench.plot import plot
from engine.bench.rates import Rates
from engine.bench.results import Report
from engine.errors import SettingError
from tests.engine.bench.test_results import LEVEL

REPORT = Report(
    "parrot",
    "exact",
    "exact",
    Machine.of(torch.device("cpu"), torch.float32),
    Rates(3e12, 3e12, 4 * 2**30),
    None,
    (LEVEL, replace(LEVEL, sessions=16, seats=16), replace(LEVEL, context="empty")),
)


def test_the_picture_is_in_the_format_that_its_name_ends_in(tmp_path: Path) -> None:
    plot(REPORT, 3000, tmp_path / "step.png")
    plot(REPORT, 3000, tmp_path / "step.svg")
    assert (tmp_path / "step.png").read_bytes().startswith(b"\x89PNG")
    picture = (tmp_path / "step.svg").read_text()
    assert picture.startswith("<?xml")


def test_levels_that_were_not_measured_are_left_out(tmp_path: Path) -> None:
    missing = replace(LEVEL, sessions=64, seats=64, full=None, error="out of memory")
    plot(replace(REPORT, levels=(*REPORT.levels, missing)), 3000, tmp_path / "step.png")


def test_a_format_that_there_is_not_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--plot"):
        plot(REPORT, 3000, tmp_path / "step.nothing")
