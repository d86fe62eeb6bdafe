"""A call as its operator sees it: in a real Prometheus, in the log, as a span."""

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.deploy.dashboard import expressions
from tests.deploy.exported import names_in, names_on
from tests.end_to_end.conftest import PATIENCE_S, SLOTS, StartWorker
from tests.end_to_end.processes import ROOT, Running, free_port, get, running, wait_for
from tests.end_to_end.sounds import keyed_phrases
from tests.lacking import lacking
from worker.caller.caller import Caller, new_room
from worker.settings import LiveKitSettings

AGENT = "watched"

pytestmark = pytest.mark.timeout(300)


@dataclass
class Collector:
    """Takes spans as an OpenTelemetry collector does, over HTTP."""

    url: str
    spans: list[Span] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                taken.sent.append(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        taken.spans.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        taken = Collector(f"http://127.0.0.1:{server.server_port}")
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield taken
        server.shutdown()
        serving.join()


class Prometheus:
    """What it answers."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The result of a query, which must be one."""
        url = f"{self._url}/api/v1/query?{urlencode({'query': expression})}"
        # A busy machine may keep it from answering once.
        page = get(url) or get(url) or get(url)
        assert page is not None, expression
        answer = json.loads(page)
        assert answer["status"] == "success", expression
        return list(answer["data"]["result"])

    def value(self, expression: str) -> float | None:
        """Of the only series that it has."""
        found = self.ask(expression)
        return float(found[0]["value"][1]) if found else None

    async def until(self, expression: str, value: float) -> None:
        """Wait for a value."""
        async with asyncio.timeout(2 * PATIENCE_S):
            while await asyncio.to_thread(self.value, expression) != value:
                await asyncio.sleep(0.2)

    def rules(self) -> list[dict[str, Any]]:
        """The rules, with how they fare."""
        page = get(f"{self._url}/api/v1/rules")
        assert page is not None
        return [rule for group in json.loads(page)["data"]["groups"] for rule in group["rules"]]


@pytest.fixture
def watched(
    start_worker: StartWorker, engine_port: int, collector: Collector
) -> Iterator[tuple[Running, int]]:
    """A worker, and the port of its numbers."""
    port = free_port()
    settings = {"WORKER_METRICS_PORT": str(port), "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with start_worker("start", AGENT, ENGINE_URL=f"ws://127.0.0.1:{engine_port}", **settings) as worker:
        yield worker, port


@pytest.fixture
def prometheus(tmp_path: Path, engine_port: int, watched: tuple[Running, int]) -> Iterator[Prometheus]:
    """A real one with the configuration and the rules of deploy/prometheus, faster and on these ports."""
    if shutil.which("prometheus") is None:
        lacking("no prometheus: apt install prometheus")
    port = free_port()
    text = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
    for theirs, ours in (
        ("engine:8998", f"127.0.0.1:{engine_port}"),
        ("worker:8082", f"127.0.0.1:{watched[1]}"),
        ("localhost:9090", f"127.0.0.1:{port}"),
        ("scrape_interval: 15s", "scrape_interval: 2s"),
        ("evaluation_interval: 15s", "evaluation_interval: 1s"),
    ):
        assert theirs in text
        text = text.replace(theirs, ours)
    (tmp_path / "prometheus.yml").write_text(text)
    shutil.copy(ROOT / "deploy" / "prometheus" / "rules.yml", tmp_path)
    command = [
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, tmp_path / "prometheus.log") as server:
        wait_for(server, lambda: get(f"http://127.0.0.1:{port}/-/ready"))
        yield Prometheus(f"http://127.0.0.1:{port}")


async def test_a_call_is_seen_while_it_is_on_and_leaves_its_numbers(
    livekit: LiveKitSettings,
    engine_port: int,
    watched: tuple[Running, int],
    prometheus: Prometheus,
    collector: Collector,
) -> None:
    worker, metrics_port = watched
    room = new_room()
    (phrase,) = keyed_phrases(1000, 1)
    async with Caller.join(livekit.model_copy(update={"livekit_agent_name": AGENT}), room) as caller:
        await caller.wait_for_agent(PATIENCE_S)
        await caller.say(phrase)
        await prometheus.until("moshi_worker_calls", 1)
        # Calls of other tests may still be held.
        await prometheus.until("count(moshi_session_frames_total > 20) >= bool 1", 1)
        played = 'moshi_session_latency_seconds{stage="playout", quantile="0.99"}'
        await prometheus.until(f"count({played}) >= bool 1", 1)

        await prometheus.until('sum(up{job=~"moshi-.*"})', 2)
        await prometheus.until("sum(moshi_seats)", SLOTS)
        for expression in expressions("10s"):
            prometheus.ask(expression)
        pages = [get(f"http://127.0.0.1:{port}/metrics") or "" for port in (engine_port, metrics_port)]
        exported = names_on(pages[0]) | names_on(pages[1]) | {"up"}
        assert set().union(*map(names_in, expressions())) <= exported
        assert set().union(*(names_in(rule["query"]) for rule in prometheus.rules())) <= exported
        async with asyncio.timeout(PATIENCE_S):
            while (health := {rule["health"] for rule in prometheus.rules()}) != {"ok"}:
                assert "err" not in health, "a rule that cannot be worked out"
                await asyncio.sleep(0.5)
        assert room not in "".join(pages), "who calls is nobody's business"
        identity = caller.room.local_participant.identity
        assert identity not in "".join(pages)
    await prometheus.until('moshi_worker_calls_ended_total{reason="caller_left"}', 1)
    await prometheus.until("moshi_worker_calls", 0)

    assert "GET /metrics" not in worker.said(), "a line for every look"
    (line,) = [json.loads(each) for each in worker.said().splitlines() if '"call ended"' in each]
    assert line["reason"] == "caller_left"
    assert line["frames"] > 0
    for stage in ("wait", "queue", "step", "worker", "playout"):
        assert 0 <= line[f"{stage}_p50_ms"] <= line[f"{stage}_p95_ms"] <= line[f"{stage}_p99_ms"]
    assert line["first_answer_ms"] >= 0

    async with asyncio.timeout(PATIENCE_S):
        while not collector.spans:
            await asyncio.sleep(0.1)
    (span,) = collector.spans
    attributes = {each.key: each.value for each in span.attributes}
    assert attributes["moshi.call"].string_value == line["call"]
    assert attributes["moshi.reason"].string_value == "caller_left"
    assert [event.name for event in span.events][:1] == ["joined"]
    assert {"caller_came", "session_began", "first_answer"} <= {event.name for event in span.events}
    assert not [name for name in (room, identity) if name.encode() in b"".join(collector.sent)]
