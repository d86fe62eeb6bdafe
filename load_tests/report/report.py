"""All runs of one command, and on what they ran."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.errors import SettingError
from load_tests.measured import RunMeasured
from load_tests.report.machine import Machine
from load_tests.report.processes import WHOLE_MACHINE
from load_tests.report.summary import Goal, Summary, added, goals

_QUIET_LOAD, _FULL_PERCENT, _LATE_MS = 0.5, 90.0, 20.0


@dataclass(frozen=True, slots=True)
class Report:
    """The service, and the bare echo beside it if it was measured in the same command."""

    machine: Machine
    service: RunMeasured
    baseline: RunMeasured | None = None
    more_goals: tuple[Goal, ...] = ()

    @property
    def runs(self) -> Sequence[RunMeasured]:
        """Both, the echo first."""
        return (self.service,) if self.baseline is None else (self.baseline, self.service)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """What the service is held to."""
        return (*goals(self.service, self.baseline), *self.more_goals)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why these numbers may tell of the machine rather than of the service."""
        cores = self.machine.cores
        found = []
        if self.machine.load_average > _QUIET_LOAD * cores:
            found.append(f"{cores} cores had a load of {self.machine.load_average} before anybody called")
        for run in self.runs:
            late_ms = Summary.of(run).send_late_p99_ms
            if late_ms is not None and late_ms > _LATE_MS:
                found.append(
                    f"{run.what}: callers were up to {late_ms:.0f} ms late to speak themselves (p99)"
                )
            whole = [one.cpu_percent_mean for one in run.processes if one.name == WHOLE_MACHINE]
            if whole and whole[0] > _FULL_PERCENT * cores:
                found.append(f"{run.what}: {whole[0]:.0f} % of {100 * cores} % were in use on this machine")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """The report as plain data: what was measured, and what follows from it."""
        added_p50, added_p95 = added(self.service, self.baseline)
        return {
            "machine": asdict(self.machine),
            "runs": [{**asdict(run), "summary": asdict(Summary.of(run))} for run in self.runs],
            "added_ms": {"p50": added_p50, "p95": added_p95},
            "doubts": list(self.doubts),
            "goals": [{**asdict(goal), "met": goal.met} for goal in self.goals],
        }

    def write(self, path: Path) -> None:
        """As JSON. Raises SettingError."""
        write_json(self.to_json(), path)


def write_json(value: Any, path: Path) -> None:
    """Plain data, numbers with six digits. Raises SettingError where nothing can be written."""
    text = json.dumps(_rounded(value), indent=1)
    try:
        path.write_text(text + "\n")
    except OSError as error:
        raise SettingError(f"--json {path}: {error.strerror}") from None


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(of) for name, of in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(of) for of in value]
    return value
