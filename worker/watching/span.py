"""A span of OpenTelemetry for each call, with what happens in it as events.

It is one of its own, beside those that livekit-agents can make: theirs name rooms and people. Nothing is
made unless OTEL_EXPORTER_OTLP_ENDPOINT, or the one for traces, says where to send it.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from worker.watching.diary import Event, Fact
from worker.watching.worker_metrics import FAILURES

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

log = logging.getLogger(__name__)

NAME = "call"
SERVICE = "moshi-worker"
_PREFIX = "moshi."
_SEND_WITHIN_S = 5


class CallSpan:
    """Begins when it is built; `tell` is a reader of the call's diary, whose end is the span's."""

    def __init__(self, call_id: str, processor: "SpanProcessor") -> None:
        # Where nobody asked for a span nothing of it is loaded.
        from opentelemetry.context import Context
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace import SpanKind

        service = os.environ.get("OTEL_SERVICE_NAME", SERVICE)
        self._provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: service}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        # In a context of its own: that of a job is a span of livekit-agents.
        self._span = self._provider.get_tracer(__name__).start_span(
            NAME, Context(), SpanKind.SERVER, {f"{_PREFIX}call": call_id}
        )

    def tell(self, event: Event, facts: Mapping[str, Fact]) -> None:
        """An event of the span; the end of the call is the span's, its facts are the span's attributes."""
        named = {f"{_PREFIX}{name}": fact for name, fact in facts.items()}
        if event is not Event.ENDED:
            self._span.add_event(event, named)
            return
        from opentelemetry.trace import StatusCode

        self._span.set_attributes(named)
        if (reason := str(facts.get("reason", ""))) in FAILURES:
            self._span.set_status(StatusCode.ERROR, reason)
        self._span.end()

    async def close(self) -> None:
        """Wait until it is sent, a few seconds at most: nobody's call depends on it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * _SEND_WITHIN_S):
                await asyncio.to_thread(self._provider.shutdown)


def begin_span(call_id: str) -> CallSpan | None:
    """A span that goes where the environment says; None where it says nothing."""
    if not is_wanted(os.environ):
        return None
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

    protocol = _of_traces(os.environ, "PROTOCOL") or "http/protobuf"
    exporter: SpanExporter
    timeout = None if _of_traces(os.environ, "TIMEOUT") else _SEND_WITHIN_S
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc

        exporter = OverGrpc(timeout=timeout)
    elif protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp

        exporter = OverHttp(timeout=timeout)
    else:
        log.warning("no span is sent: OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf or grpc")
        return None
    return CallSpan(call_id, BatchSpanProcessor(exporter))


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables ask for spans over OTLP."""
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    exporters = environment.get("OTEL_TRACES_EXPORTER", "otlp").split(",")
    return bool(not off and "otlp" in exporters and _of_traces(environment, "ENDPOINT"))


def _of_traces(environment: Mapping[str, str], name: str) -> str:
    general = environment.get(f"OTEL_EXPORTER_OTLP_{name}", "")
    return environment.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}", "") or general
