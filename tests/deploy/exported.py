"""What engine and worker export, and what expressions ask for."""

import re

import torch
from prometheus_client import CollectorRegistry, generate_latest

from engine.service.device_memory import DeviceMemory
from engine.service.metrics import Metrics
from engine.service.room_hash import RoomHash
from engine.service.seats import Seats
from engine.service.speech_metrics import SpeechMetrics
from engine.service.transcription_metrics import TranscriptionMetrics
from engine.step.measure import StepTimes
from worker.watching.worker_metrics import WorkerMetrics

_SUFFIXES = {"counter": ("",), "gauge": ("",), "summary": ("",), "histogram": ("_bucket", "_count", "_sum")}


def names_on(page: str) -> set[str]:
    """The series of a page, those too that have no value yet."""
    families = re.findall(r"^# TYPE (\w+) (\w+)$", page, re.M)
    return {name + suffix for name, kind in families for suffix in _SUFFIXES.get(kind, ("",))}


def families_on(page: str) -> set[str]:
    """As a page of documentation names them."""
    return set(re.findall(r"^# TYPE (\w+) ", page, re.M))


def names_in(expression: str) -> set[str]:
    """The series that an expression of PromQL asks for."""
    without_labels = re.sub(r"\{[^}]*\}|\b(?:by|on) \([^)]*\)", "", expression)
    return set(re.findall(r"\b(?:moshi_\w+|process_\w+|up)\b", without_labels))


def engine_page() -> str:
    metrics = Metrics(Seats(2), rooms=RoomHash("a key of the operator"))
    metrics.identify("fake", "cpu")
    metrics.drains(lambda: False)
    metrics.hold(lambda: 0, lambda: 0)
    metrics.predict(StepTimes({1: 0.01, 2: 0.02}))
    metrics.add(DeviceMemory.of(torch.device("cpu")))
    metrics.add(TranscriptionMetrics())
    metrics.add(SpeechMetrics())
    return metrics.text().decode()


def worker_page() -> str:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    metrics.watch(lambda: 0, lambda: True, lambda: True, lambda: False)
    return generate_latest(registry).decode()
