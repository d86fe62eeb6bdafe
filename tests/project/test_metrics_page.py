"""docs/metrics.md: every number that is exported, and none that is not."""

import re
from pathlib import Path

from tests.deploy.exported import engine_page, families_on, worker_page

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


def test_every_metric_of_ours_is_on_the_page() -> None:
    exported = {name for name in families_on(engine_page()) | families_on(worker_page()) if "moshi" in name}
    assert "moshi_frames_total" in exported
    documented = set(re.findall(r"\bmoshi_\w+", PAGE))
    assert exported - documented == set()
    assert documented - exported == set()
