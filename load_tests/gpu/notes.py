"""What was measured, on the screen and in a file from the moment it is known."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from engine.bench.machine import Machine


class Notes:
    """The notes of one stage: `folder`/`stage`.json."""

    def __init__(self, folder: Path, stage: str, device: torch.device) -> None:
        self.folder = folder
        self.stage = stage
        self._report: dict[str, Any] = {"machine": asdict(Machine.of(device, torch.bfloat16)), "notes": []}

    def add(self, kind: str, **values: Any) -> None:
        """Numbers and words about one thing."""
        self._report["notes"].append({"kind": kind, **values})
        shown = (
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in values.items()
        )
        print(f"{kind}: {', '.join(shown)}", flush=True)
        (self.folder / f"{self.stage}.json").write_text(json.dumps(self._report, indent=1) + "\n")
