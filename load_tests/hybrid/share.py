"""What of an answer's time is neither waiting, nor a model's, nor the network's: the framework's and ours."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_ANSWERED = re.compile(r"turn answered.*?(\{.*\})")
GOAL_S = 0.06


@dataclass(frozen=True, slots=True)
class Share:
    """Of one run, in seconds. A turn's own way and the detection's judgement of it are not known: the fastest
    way and the median of judgements stand for them. What the models took is counted as ours: they take no
    time.
    """

    all_s: Sequence[float]
    """Of each turn: end of speech -> heard by the caller."""
    wait_s: float
    """The silence that the agent is told to wait for."""
    judged_s: Sequence[float]
    """How late voice detection dates the end of speech."""
    way_s: Sequence[float]
    """There and back by way of a bare echo."""
    inside_s: Sequence[float]
    """By the agent's own clock: the end of speech, as it was dated -> the answer begins on its track."""

    @property
    def left_s(self) -> list[float]:
        """Of each turn what is left."""
        known_s = self.wait_s + float(np.median(self.judged_s)) + min(self.way_s)
        return [each - known_s for each in self.all_s]

    def table(self) -> str:
        """p50 and p95 of each part in ms, as Markdown."""
        return "\n".join(["| part | p50 ms | p95 ms |", "|---|---|---|", *self._rows()])

    def _rows(self) -> Iterator[str]:
        yield _row("end of speech -> heard by the caller", self.all_s)
        yield _row("of it: the silence that is waited for (`min_delay`)", [self.wait_s])
        yield _row("how late voice detection dates the end of speech", self.judged_s)
        yield _row("WebRTC, there and back: a bare echo in the same run", self.way_s)
        yield _row(f"left: framework and ours (goal: {GOAL_S * 1000:.0f} at most)", self.left_s)
        if self.inside_s:
            inside_s = [each - self.wait_s for each in self.inside_s]
            yield _row("of it: after the wait, until the answer is on the agent's track", inside_s)


def inside_s(lines: Sequence[str]) -> list[float]:
    """`heard_ms` of each answer in an agent's log, in seconds."""
    found = (_ANSWERED.search(line) for line in lines)
    told = [json.loads(match.group(1)) for match in found if match]
    return [each["heard_ms"] / 1000 for each in told if "heard_ms" in each]


def _row(name: str, seconds: Sequence[float]) -> str:
    p50, p95 = np.percentile(np.asarray(seconds) * 1000, [50, 95])
    return f"| {name} | {p50:.0f} | {p95:.0f} |"
