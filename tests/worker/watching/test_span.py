import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from worker.watching.diary import Diary, Event
from worker.watching.span import CallSpan, is_wanted


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318"}, False),
    ],
)
def test_a_span_is_made_where_opentelemetrys_own_variables_ask_for_it(
    environment: dict[str, str], wanted: bool
) -> None:
    assert is_wanted(environment) is wanted


@pytest.mark.parametrize(
    ("reason", "status"), [("caller_left", StatusCode.UNSET), ("engine_lost", StatusCode.ERROR)]
)
async def test_a_call_is_one_span_with_what_happened_as_events(reason: str, status: StatusCode) -> None:
    memory = InMemorySpanExporter()
    span = CallSpan("AJ_1", SimpleSpanProcessor(memory))
    diary = Diary(span.tell)
    diary.note(Event.JOINED)
    diary.note(Event.ENGINE_LOST, reason="unreachable")
    assert not memory.get_finished_spans()
    diary.note(Event.ENDED, reason=reason, seconds=3.5, wait_p50_ms=71.0)
    await span.close()
    (made,) = memory.get_finished_spans()
    assert made.name == "call"
    assert made.parent is None
    assert made.status.status_code is status
    assert made.resource.attributes["service.name"] == "moshi-worker"
    assert dict(made.attributes or {}) == {
        "moshi.call": "AJ_1",
        "moshi.reason": reason,
        "moshi.seconds": 3.5,
        "moshi.wait_p50_ms": 71.0,
    }
    assert [(event.name, dict(event.attributes or {})) for event in made.events] == [
        ("joined", {}),
        ("engine_lost", {"moshi.reason": "unreachable"}),
    ]
