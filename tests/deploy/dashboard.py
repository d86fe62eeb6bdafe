"""The dashboard as those see it who check it."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "grafana" / "dashboards" / "moshi.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions(interval: str = "1m") -> list[str]:
    """Every query, with its variables as Grafana fills them in for all engines."""
    found = [target["expr"] for panel in PANELS for target in panel["targets"]]
    found += [each["expr"] for each in DASHBOARD["annotations"]["list"]]
    return [each.replace("$__rate_interval", interval).replace("$engine", ".*") for each in found]
