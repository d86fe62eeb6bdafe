"""How long sound stays in each part of the agent's side, by what that side tells."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

ECHO_ATTRIBUTE = "echo.stages"
_LATENCY = "moshi_session_latency_seconds"
_QUANTILES = {"0.5": "p50", "0.95": "p95", "0.99": "p99"}

Found = dict[str, dict[str, list[float]]]


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Milliseconds in one stage: quantiles of each session, and of those the mean over the sessions."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Stages:
    """`stages`: by the names of docs/metrics.md. `sessions`: how many told; `source`: how."""

    source: str
    sessions: int
    stages: Mapping[str, StageTimes]

    @classmethod
    def of_page(cls, page: str) -> Self:
        """The live sessions of an engine's `/metrics`, the last minute. What it lacks is not in `stages`."""
        found: Found = {}
        sessions = set()
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == _LATENCY and sample.labels["quantile"] in _QUANTILES:
                    sessions.add(sample.labels["session"])
                    stage = found.setdefault(sample.labels["stage"], {})
                    stage.setdefault(_QUANTILES[sample.labels["quantile"]], []).append(1000 * sample.value)
        return cls("/metrics", len(sessions), _means(found))

    @classmethod
    def of_echoes(cls, attributes: Iterable[Mapping[str, str]]) -> Self:
        """What bare echoes say of themselves, one a call. One that says nothing is no session."""
        told = [json.loads(each[ECHO_ATTRIBUTE]) for each in attributes if ECHO_ATTRIBUTE in each]
        found: Found = {}
        for stages in told:
            for name, quantiles in stages.items():
                for quantile, millis in quantiles.items():
                    found.setdefault(name, {}).setdefault(quantile, []).append(millis)
        return cls("the echo", len(told), _means(found))


def _means(found: Found) -> dict[str, StageTimes]:
    return {
        name: StageTimes(**{quantile: sum(of) / len(of) for quantile, of in values.items()})
        for name, values in found.items()
    }
