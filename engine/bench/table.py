"""A benchmark for a terminal, line by line as it is found."""

from engine.bench.results import Level, OpenLoop, Quantiles, Report, peer_ratio

HEADER = (
    f"{'sessions':>8} {'context':>7} | {'full step, ms':^31} {'x floor':>7} | {'answer, ms':^23} | "
    f"{'missed, %':^13} {'solved':>6} | {'launches':>8} {'kernels':>7} {'GB':>6}\n"
    f"{'':>8} {'':>7} | {'p50':>7} {'p95':>7} {'p99':>7} {'max':>7} {'':>7} | "
    f"{'p50':>7} {'p95':>7} {'p99':>7} | {'mean':>6} {'worst':>6} {'':>6} | {'':>8} {'':>7} {'peak':>6}"
)


def heading(report: Report) -> str:
    """What is measured, and on what."""
    machine, rates = report.machine, report.rates
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    return (
        f"{report.checkpoint}, weights {report.weights}, keys and values {report.kv}, {machine.dtype}\n"
        f"{machine.device}, {machine.threads} thread(s), load average {machine.load_average:.1f}, "
        f"{versions}\n"
        f"memory reads {rates.read / 1e9:.1f} GB/s, copies {rates.copy / 1e9:.1f} GB/s "
        f"(read and written), over {rates.over_bytes / 1e9:.2f} GB"
    )


def row(level: Level) -> str:
    """A level under `HEADER`, its costliest kernels if they were asked for, and what a second model found."""
    lines = [_row(level)]
    lines += [
        f"{'':>18}{cost.ms:9.3f} ms {100 * cost.share:5.1f} % {cost.calls:8.1f} calls  {cost.name[:60]}"
        for cost in level.costs
    ]
    if level.beside is not None:
        lines.append(f"{'':>8} {'beside':>7} | {'':>39} | {_answers(level.beside)}")
    if level.error is not None:
        lines.append(f"{'':>18}error: {level.error}")
    elif level.seats < level.sessions:
        lines.append(f"{'':>18}{level.sessions - level.seats} sessions refused: memory for {level.seats}")
    return "\n".join(lines)


def _row(level: Level) -> str:
    full, counts, ratio = level.full, level.counts, level.floor_ratio
    launches = "-" if counts is None or counts.host_launches is None else f"{counts.host_launches:.1f}"
    kernels = "-" if counts is None else f"{counts.kernels:.0f}"
    return (
        f"{level.sessions:8} {level.context:>7} | {_times(full.step if full else None)} "
        f"{_number(full.step.max if full else None)} {_number(ratio)} | "
        f"{_answers(level.open_loop)} {'yes' if level.solved else 'no':>6} | "
        f"{launches:>8} {kernels:>7} {level.peak_bytes / 1e9:6.2f}"
    )


def _answers(loop: OpenLoop | None) -> str:
    """What came in time, in the columns of `HEADER`."""
    if loop is None:
        return f"{_times(None)} | {'-':>6} {'-':>6}"
    return f"{_times(loop.answer)} | {100 * loop.missed:6.2f} {100 * loop.missed_worst:6.2f}"


def _times(times: Quantiles | None) -> str:
    if times is None:
        return " ".join(3 * ["-".rjust(7)])
    return f"{_number(times.p50)} {_number(times.p95)} {_number(times.p99)}"


def _number(value: float | None) -> str:
    return f"{'-':>7}" if value is None else f"{value:7.1f}"


def comparison(report: Report) -> str:
    """Beside the peer: how many of its frames ours answers in the time of one."""
    peer = report.peer
    if peer is None:
        return ""
    steps = {level.sessions: level.step.p50 for level in peer.levels}
    lines = [
        f"{peer.name}: {level.sessions} sessions, {steps[level.sessions]:.1f} ms a full step at the median; "
        f"ours {level.full.step.p50:.1f} ms (context {level.context}): {ratio:.2f} x its throughput"
        for level in report.levels
        if level.full is not None and (ratio := peer_ratio(peer, level)) is not None
    ]
    return "\n".join([*lines, *([f"{peer.name}: {peer.error}"] if peer.error else [])])
