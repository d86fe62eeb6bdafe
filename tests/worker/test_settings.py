from pathlib import Path

import pytest

from engine.environment import reject_unknown
from engine.errors import SettingError
from worker.settings import LiveKitSettings, WorkerSettings, open_engine

SERVER = {"livekit_url": "ws://127.0.0.1:7880", "livekit_api_key": "key", "livekit_api_secret": "k" * 32}


@pytest.fixture
def _server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVER.items():
        monkeypatch.setenv(name.upper(), value)


def test_without_settings_it_is_the_development_server() -> None:
    settings = WorkerSettings.load()
    assert settings.livekit_url == "ws://127.0.0.1:7880"
    development = Path(__file__).parents[2].joinpath("livekit.yaml").read_text()
    assert "\nport: 7880\n" in development
    secret = settings.livekit_api_secret.get_secret_value()
    assert f"\nkeys:\n  {settings.livekit_api_key}: {secret}\n" in development


@pytest.mark.usefixtures("_server")
def test_defaults_are_those_of_the_contract() -> None:
    settings = WorkerSettings.load()
    assert settings.engine_url is None
    assert settings.engine_port == 8998
    assert settings.worker_max_call_seconds == 3600
    assert settings.livekit_agent_name == ""


@pytest.mark.usefixtures("_server")
def test_an_option_goes_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env.local").write_text("WORKER_MAX_CALL_SECONDS=10\nENGINE_PORT=1\nENGINE_SLOTS=3\n")
    monkeypatch.setenv("WORKER_MAX_CALL_SECONDS", "20")
    monkeypatch.setenv("ENGINE_PORT", "2")
    settings = WorkerSettings.load(worker_max_call_seconds=30, engine_port=None)
    assert (settings.worker_max_call_seconds, settings.engine_port, settings.engine_slots) == (30, 2, 3)


@pytest.mark.usefixtures("_server")
@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_misspelt_name_is_an_error_that_names_the_near_one(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "environment":
        monkeypatch.setenv("WORKER_MAX_CALL_SECOND", "10")
    else:
        Path(".env.local").write_text("WORKER_MAX_CALL_SECOND=10\n")
    with pytest.raises(SettingError, match=r"WORKER_MAX_CALL_SECOND: did you mean WORKER_MAX_CALL_SECONDS\b"):
        WorkerSettings.load()


def test_a_name_that_is_near_to_none_is_told_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("X_FOO", "X_BETA", "Y_FOO"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(SettingError, match=r"X_FOO: known: X_ALPHA, X_BETA$"):
        reject_unknown("X_", ["BETA", "ALPHA"])


NUMBERS = [name.upper() for name, field in WorkerSettings.model_fields.items() if field.annotation is float]


@pytest.mark.usefixtures("_server")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKER_MAX_CALL_SECONDS", "0"),
        ("WORKER_MAX_CALL_SECONDS", "long"),
        ("WORKER_MAX_CALL_SECONDS", "1e12"),
        *((name, value) for name in NUMBERS for value in ("inf", "nan")),
        ("ENGINE_PORT", "70000"),
        ("ENGINE_SLOTS", "0"),
    ],
)
def test_a_value_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=f"^{name}='{value}': "):
        WorkerSettings.load()


@pytest.mark.parametrize("url", ["127.0.0.1:7880", "ftp://here", "ws://"])
def test_an_address_is_an_address(url: str) -> None:
    with pytest.raises(SettingError, match=r"LIVEKIT_URL=.*is not an address"):
        LiveKitSettings.load(**SERVER | {"livekit_url": url})


@pytest.mark.parametrize("url", ["wss://calls.example.org", "ws://192.168.1.2:7880", "ws://0.0.0.0:7880"])
def test_the_development_secret_is_for_this_machine_only(url: str) -> None:
    development = {"livekit_api_key": "devkey", "livekit_api_secret": "secret"}
    with pytest.raises(SettingError, match="development secret"):
        LiveKitSettings.load(livekit_url=url, **development)
    for here in ("ws://127.0.0.1:7880", "ws://localhost:7880", "ws://[::1]:7880"):
        LiveKitSettings.load(livekit_url=here, **development)


@pytest.mark.usefixtures("_server")
def test_job_processes_read_the_same_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = WorkerSettings.load(engine_url="unix:/x", engine_token="t" * 16, worker_max_call_seconds=5)
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    assert WorkerSettings.load() == settings


@pytest.mark.usefixtures("_server")
def test_secrets_do_not_show() -> None:
    assert "kkk" not in repr(WorkerSettings.load(engine_token="t" * 16))
    assert "ttt" not in repr(WorkerSettings.load(engine_token="t" * 16))


@pytest.mark.usefixtures("_server")
def test_without_an_address_there_is_no_engine() -> None:
    with pytest.raises(SettingError, match="ENGINE_URL is not set"):
        open_engine(WorkerSettings.load())


@pytest.mark.usefixtures("_server")
def test_the_page_is_for_this_machine_unless_somebody_checks_callers() -> None:
    assert WorkerSettings.load().worker_web_host == "127.0.0.1"
    with pytest.raises(SettingError, match=r"WORKER_WEB_HOST=0\.0\.0\.0 can be reached.*WORKER_CALL_SECRET"):
        WorkerSettings.load(worker_web_host="0.0.0.0")
    WorkerSettings.load(worker_web_host="0.0.0.0", worker_call_secret="c" * 16)
    WorkerSettings.load(worker_web_host="0.0.0.0", worker_calls_checked_upstream=True)


def test_a_page_for_others_leads_to_no_server_whose_key_everybody_knows() -> None:
    with pytest.raises(SettingError, match=r"LIVEKIT_API_SECRET is the development secret"):
        WorkerSettings.load(worker_web_host="0.0.0.0", worker_call_secret="c" * 16)


@pytest.mark.usefixtures("_server")
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"worker_call_secret": "short"}, "WORKER_CALL_SECRET: give a secret of 16"),
        ({"worker_tls_cert": "cert.pem"}, "WORKER_TLS_CERT and WORKER_TLS_KEY"),
        ({"worker_tls_key": "key.pem"}, "WORKER_TLS_CERT and WORKER_TLS_KEY"),
    ],
)
def test_what_the_page_cannot_be_served_with_is_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        WorkerSettings.load(**given)
