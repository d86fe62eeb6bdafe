"""Options that are more than a number."""

import math

from engine.errors import SettingError
from load_tests.simulation.step_times import StepTimes


def parse_counts(option: str, text: str) -> list[int]:
    """`1,8,32` as numbers. Raises SettingError."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise SettingError(f"{option} {text}: give numbers separated by commas, such as 1,8,32")
    return counts


def parse_line(text: str) -> StepTimes:
    """`8,0.64` as a step that takes 8 ms and 0.64 ms for each session. Raises SettingError."""
    try:
        base_ms, each_ms = (float(part) for part in text.split(","))
    except ValueError:
        base_ms = each_ms = math.nan
    if not (0 <= base_ms < math.inf and 0 <= each_ms < math.inf and base_ms + each_ms > 0):
        raise SettingError(f"--step {text}: give two numbers of milliseconds, such as 8,0.64")
    return StepTimes.line(base_ms, each_ms)
