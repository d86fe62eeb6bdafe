"""The containers' environments are what engine and worker take, and hold no secret."""

import re

import pytest
import yaml

from deploy import chart_settings
from engine.settings import EngineSettings
from tests.deploy.chart import VALUES, Container, containers, manifests, of_kind, rendered
from worker.settings import WorkerSettings

EVERYWHERE = pytest.mark.parametrize("values", VALUES)
OTHER_PROGRAMS = {"TRITON_CACHE_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
OWN = ("ENGINE_", "WORKER_", "LIVEKIT_")
A_SECRET = "s" * 32


def take_over(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process have a container's environment, with every secret given."""
    import os

    for name in [name for name in os.environ if name.startswith(OWN)]:
        monkeypatch.delenv(name)
    for name, value in container.environment.items():
        if name.startswith(OWN):
            monkeypatch.setenv(name, A_SECRET if value is None else value)


@EVERYWHERE
def test_every_variable_is_a_setting_or_belongs_to_a_known_program(values: str) -> None:
    settings = {name for known in chart_settings.names().values() for name in known}
    settings |= chart_settings.OF_ENGINE | chart_settings.OF_WORKER | {"ENGINE_URL"}
    settings |= {"LIVEKIT_URL", "LIVEKIT_AGENT_NAME"}
    for container in containers(values):
        for name in container.environment:
            known = name in settings | OTHER_PROGRAMS or name.startswith(("HF_", "OTEL_"))
            assert known, f"{container.name} gets {name}, which is none"


@EVERYWHERE
def test_the_engine_takes_its_environment(values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for container in containers(values, name="engine"):
        take_over(container, monkeypatch)
        settings = EngineSettings.load()
        assert settings.token is not None
        assert settings.port == container.spec["ports"][0]["containerPort"]
        assert (settings.tls_cert is not None) == (values == "split")


@EVERYWHERE
def test_the_worker_takes_its_environment(values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for container in containers(values, name="worker"):
        take_over(container, monkeypatch)
        settings = WorkerSettings.load()
        assert settings.engine_url is not None
        ports = {each["name"]: each["containerPort"] for each in container.spec["ports"]}
        assert settings.worker_port == ports["health"]
        assert settings.worker_metrics_port == ports["metrics"]
        assert settings.worker_web_port == ports.get("page")


def test_settings_from_values_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    [engine] = containers("everything", name="engine")
    take_over(engine, monkeypatch)
    settings = EngineSettings.load()
    assert (settings.chat_line, settings.step_timeout_seconds) == (0, 10)
    assert (settings.weights, settings.kv, settings.slots) == ("int8", "int8", 46)
    assert (str(settings.voices), settings.voice) == ("/voices", "NATF2")
    assert settings.prompt == "You work for a bakery.\nAsk what cake, how large, and for when.\n"
    [worker] = containers("everything", name="worker")
    take_over(worker, monkeypatch)
    called = WorkerSettings.load()
    assert (called.worker_idle_seconds, called.worker_max_call_seconds) == (120, 7200.5)
    assert called.livekit_agent_name == "moshi"


def test_large_numbers_stay_whole() -> None:
    [engine] = containers("sidecar", "engine.heldSessions=1000000", name="engine")
    assert engine.environment["ENGINE_HELD_SESSIONS"] == "1000000"


def test_the_schema_knows_the_settings_of_the_code() -> None:
    text = chart_settings.SCHEMA.read_text()
    assert text == chart_settings.schema(text), "write it anew: python -m deploy.chart_settings"


@EVERYWHERE
def test_secrets_come_by_reference_alone(values: str) -> None:
    secrets = {*chart_settings.names()["secretNames"]}
    for container in containers(values):
        for variable in container.spec.get("env", []):
            if variable["name"] in secrets:
                assert variable["valueFrom"]["secretKeyRef"]["key"] == variable["name"]
            else:
                assert not re.search(r"SECRET|TOKEN|PASSWORD", variable["name"]), variable
    text = yaml.safe_dump_all(each for each in manifests(values) if each["kind"] != "Secret")
    assert "of-a-trial" not in text


def test_every_secret_reaches_who_needs_it_and_nobody_else() -> None:
    given = {
        each.name: {name for name, value in each.environment.items() if value is None}
        for each in containers("split")
    }
    of_engine = {"ENGINE_TOKEN", "ENGINE_PEER_TOKEN", "ENGINE_ROOM_HASH_KEY"}
    of_worker = {"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "ENGINE_TOKEN", "WORKER_CALL_SECRET"}
    of_worker |= {"WORKER_LLM_KEY", "WORKER_STT_KEY", "WORKER_TTS_KEY"}
    assert given == {
        "download": {"HF_TOKEN"},
        "engine": of_engine,
        "wait-for-engine": set(),
        "worker": of_worker,
    }
    assert set().union(*given.values()) == {*chart_settings.names()["secretNames"]}


def test_a_secret_is_made_where_values_say_so_alone() -> None:
    [made] = of_kind("Secret", "parrot")
    assert made["stringData"]["ENGINE_TOKEN"] == "a-token-of-a-trial"
    assert [name for name in VALUES if of_kind("Secret", name)] == ["parrot"]


@EVERYWHERE
def test_images_have_the_version_of_the_chart_unless_values_say_another(values: str) -> None:
    version = yaml.safe_load((chart_settings.SCHEMA.parent / "Chart.yaml").read_text())["appVersion"]
    images = {each.spec["image"] for each in containers(values)}
    if values == "everything":
        assert images == {
            "registry.example.org/moshi/engine@sha256:" + 4 * "0123456789abcdef",
            "registry.example.org/moshi/worker:0.1.0-2",
        }
    else:
        assert images == {f"moshi-live-engine:{version}", f"moshi-live-worker:{version}"}


def test_the_chart_has_the_version_of_the_project() -> None:
    import tomllib

    root = chart_settings.SCHEMA.parents[3]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((chart_settings.SCHEMA.parent / "Chart.yaml").read_text())
    assert chart["appVersion"] == project


def test_nothing_of_helm_is_left_in_the_text() -> None:
    assert [name for name in VALUES if "<no value>" in rendered(name) or "%!" in rendered(name)] == []
