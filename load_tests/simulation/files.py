"""What a simulation writes."""

import json
import math
from pathlib import Path
from typing import Any

from engine.bench import origin
from engine.output_files import check_writable
from load_tests.simulation.plot import check_plotting


def check_files(json_file: Path | None, plot_file: Path | None) -> None:
    """Raise AudioFileError or SettingError now for what could not be written later."""
    check_writable(json_file, plot_file)
    if plot_file is not None:
        check_plotting()


def write_json(path: Path | None, found: dict[str, Any]) -> None:
    """The numbers, and how to find them again; nothing without a path."""
    if path is not None:
        made = {"command": origin.command(), "commit": origin.commit(), "date": origin.today()}
        path.write_text(json.dumps({**made, **_finite(found)}, indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """JSON has no infinity: what never happens is null."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
