"""Predictions for a terminal: one row for each number of sessions, or of engines."""

from load_tests.simulation.check import Comparison
from load_tests.simulation.fleet import Outlook, Share
from load_tests.simulation.scheduler import Prediction

SCHEDULER_HEADER = (
    f"{'sessions':>8} {'a step':>6} {'busy':>5} | {'queue, ms':^15} | {'answer, ms':^31} | {'missed, %':^13}"
    f" | {'solved':>6} {'offered':>7}\n"
    f"{'':>8} {'holds':>6} {'%':>5} | {'p50':>7} {'p99':>7} | {'p50':>7} {'p95':>7} {'p99':>7} {'max':>7} | "
    f"{'mean':>6} {'worst':>6} | {'':>6} {'':>7}"
)

FLEET_HEADER = (
    f"{'engines':>7} {'seats':>6} {'in calls':>8} | {'refused, %':^13} {'Erlang B':>8} | "
    f"{'interrupted, %':^14} | {'then lost, %':^13}"
)

SEATS_HEADER = f"{'engines':>7} {'seats':>6} | {'calls':>8} {'seats in use':>12} {'spare seats':>11}"


def scheduler_row(level: Prediction) -> str:
    """A prediction under `SCHEDULER_HEADER`."""
    line = (
        f"{level.sessions:8} {level.mean_batch:6.1f} {100 * level.busy:5.0f} | "
        f"{level.queue.p50:7.1f} {level.queue.p99:7.1f} | {level.answer.p50:7.1f} {level.answer.p95:7.1f} "
        f"{level.answer.p99:7.1f} {level.answer.max:7.1f} | {100 * level.missed:6.2f} "
        f"{100 * level.missed_worst:6.2f} | {_yes(level.solved):>6} {_yes(level.offered):>7}"
    )
    if level.beyond_measured:
        line += f"\n{'':>8} {100 * level.beyond_measured:.0f} % of the steps hold more than were measured"
    return line


def comparison_rows(comparison: Comparison) -> str:
    """What was expected, how far runs as long as the measurement differ, and what was measured."""
    measured, missed = comparison.measured, comparison.missed
    answer = measured.answer
    ranges = " ".join(
        f"{name} {found.low:.0f}-{found.high:.0f}"
        for name, found in (("p50", comparison.p50), ("p95", comparison.p95), ("p99", comparison.p99))
    )
    return (
        f"{scheduler_row(comparison.expected)}\n"
        f"{f'{comparison.runs} runs':>8} {'':>12} | {'':>15} | {ranges:^31} | "
        f"{f'{100 * missed.low:.1f}-{100 * missed.high:.1f}':>13} |\n"
        f"{'measured':>8} {measured.mean_batch:6.1f} {'':>5} | {'':>15} | {answer.p50:7.1f} "
        f"{answer.p95:7.1f} {answer.p99:7.1f} {answer.max:7.1f} | {100 * measured.missed:6.2f} "
        f"{100 * measured.missed_worst:6.2f} |"
    )


def fleet_row(outlook: Outlook) -> str:
    """An outlook under `FLEET_HEADER`."""
    fleet = outlook.fleet
    return (
        f"{fleet.engines:7} {fleet.engines * fleet.seats:6} {100 * outlook.in_calls.mean:6.1f} % | "
        f"{_percent(outlook.refused)} {100 * outlook.erlang_b:8.3f} | {_percent(outlook.interrupted):>14} | "
        f"{_percent(outlook.lost):>13}"
    )


def seats_row(engines: int, seats: int, calls: float) -> str:
    """A fleet under `SEATS_HEADER`, and how many calls may be on in it on average."""
    return f"{engines:7} {seats:6} | {calls:8.1f} {100 * calls / seats:10.1f} % {seats - calls:11.1f}"


def _percent(share: Share) -> str:
    return f"{100 * share.mean:6.3f} ±{100 * share.error:5.3f}"


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"
