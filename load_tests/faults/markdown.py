"""`python -m load_tests.faults.markdown soak.json`: the table of faults for docs/reliability.md."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from load_tests.faults.kinds import KINDS
from load_tests.report.rows import UNKNOWN, number

_NAMES = {kind.short: kind.name for kind in KINDS}


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """report: as `faults` and `soak` write it."""
    machine = report["machine"]
    yield (
        f"{report['callers']} callers, {report['seconds'] / 60:.0f} minutes, {len(report['faults'])} faults, "
        f"{report['every_s']:g} s apart; {machine['date'][:10]}, {machine['processor']}, "
        f"{machine['cores']} cores, load average {machine['load_average']} before; "
        f"commit {machine['commit']}."
    )
    yield ""
    yield "| fault | times | gap, median | worst | resumed, worst | others' worst gap | conversation |"
    yield "|---|---|---|---|---|---|---|"
    for kind in report["kinds"]:
        kept = ", ".join(f"{what} {count}" for what, count in kind["kept"].items())
        seconds = (
            number(kind[name], 2, " s")
            for name in ("gap_median_s", "gap_worst_s", "resumed_worst_s", "neighbour_s")
        )
        cells = (_NAMES[kind["kind"]], str(kind["count"]), *seconds, kept or UNKNOWN)
        yield f"| {' | '.join(cells)} |"
    yield ""
    for goal in report["goals"]:
        met = {True: "met", False: "**missed**", None: "not measured"}[goal["met"]]
        unit = f" {goal['unit']}".rstrip()
        yield f"- {goal['name']}: {number(goal['measured'], 2, unit)}, {met}"


if __name__ == "__main__":
    print("\n".join(lines(json.loads(Path(sys.argv[1]).read_text()))))
