from pathlib import Path

import pytest

from engine.environment import is_loopback
from engine.errors import SettingError
from engine.settings import ClientSettings, EngineSettings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CHECKPOINT", "SLOTS", "PORT", "HOST", "TOKEN"):
        monkeypatch.delenv(f"ENGINE_{name}", raising=False)


def test_an_option_goes_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env.local").write_text("ENGINE_SLOTS=2\nENGINE_PORT=3\nENGINE_HOST=127.0.0.2\n")
    monkeypatch.setenv("ENGINE_SLOTS", "4")
    monkeypatch.setenv("ENGINE_PORT", "5")
    settings = EngineSettings.load(slots=6, port=None)
    assert (settings.slots, settings.port, settings.host) == (6, 5, "127.0.0.2")
    assert settings.checkpoint == "parrot"


def test_a_typo_in_the_environment_is_an_error_that_names_the_near_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENGINE_SLOT", "4")
    with pytest.raises(SettingError, match="no setting is called ENGINE_SLOT: did you mean ENGINE_SLOTS"):
        EngineSettings.load()


def test_what_kubernetes_says_of_a_service_called_engine_is_told_from_a_typo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENGINE_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("ENGINE_PORT", "tcp://10.0.0.1:8998")
    monkeypatch.setenv("ENGINE_PORT_8998_TCP", "tcp://10.0.0.1:8998")
    with pytest.raises(SettingError, match=r"^ENGINE_SERVICE_HOST .* enableServiceLinks: false$"):
        EngineSettings.load()


def test_a_typo_in_the_file_is_one_too(tmp_path: Path) -> None:
    (tmp_path / ".env.local").write_text("ENGINE_TOKN=2\n")
    with pytest.raises(SettingError, match="did you mean ENGINE_TOKEN"):
        EngineSettings.load()


def test_the_workers_address_of_the_engine_is_no_typo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_URL", "ws://127.0.0.1:8998")
    assert EngineSettings.load().slots is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"slots": 0}, "ENGINE_SLOTS=0: Input should be greater than or equal to 1"),
        ({"device": "gpu"}, "ENGINE_DEVICE='gpu': Input should be 'auto', 'cpu', 'cuda' or 'mps'"),
        ({"port": 70000}, "ENGINE_PORT=70000"),
        ({"drain_seconds": -1}, "ENGINE_DRAIN_SECONDS=-1"),
        ({"room_share": 1.5}, "ENGINE_ROOM_SHARE=1.5: Input should be less than or equal to 1"),
        ({"chat_line": -1}, "ENGINE_CHAT_LINE=-1"),
        ({"chat_idle_seconds": 0}, "ENGINE_CHAT_IDLE_SECONDS=0"),
        ({"weights": "q8"}, "ENGINE_WEIGHTS='q8': Input should be 'exact', 'int8' or 'fp8'"),
        ({"kv": "fp8"}, "ENGINE_KV='fp8': Input should be 'exact', 'int8' or 'e4m3'"),
    ],
)
def test_a_value_out_of_range_says_what_is_taken(options: dict[str, object], says: str) -> None:
    with pytest.raises(SettingError) as error:
        EngineSettings.load(**options)
    assert says in str(error.value)


def test_a_short_token_is_refused_and_not_printed() -> None:
    with pytest.raises(SettingError, match=r"ENGINE_TOKEN: give a secret of 16 characters") as error:
        EngineSettings.load(token="hunter2")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "engine.example"])
def test_other_machines_reach_the_engine_with_a_token_alone(host: str) -> None:
    with pytest.raises(SettingError, match=f"ENGINE_HOST={host} .* set ENGINE_TOKEN"):
        EngineSettings.load(host=host)
    assert EngineSettings.load(host=host, token="a-secret-of-some-length").host == host


def test_loopback_is_known_by_name_and_by_number() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.3.2.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.example")))


def test_an_empty_variable_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_TOKEN", "")
    assert EngineSettings.load().token is None


def test_origins_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_ORIGINS", "https://a.example, https://b.example,")
    assert EngineSettings.load().origins == ("https://a.example", "https://b.example")


def test_a_client_looks_for_the_engine_of_this_machine_unless_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ENGINE_URL", raising=False)
    assert ClientSettings.load().url == f"ws://127.0.0.1:{EngineSettings.load().port}"
    (tmp_path / ".env.local").write_text(
        "ENGINE_URL=ws://10.0.0.7:8998\nENGINE_TOKEN=a-secret-of-some-length\n"
    )
    settings = ClientSettings.load(url=None)
    assert settings.url == "ws://10.0.0.7:8998"
    assert settings.token is not None
    assert settings.token.get_secret_value() == "a-secret-of-some-length"
    assert ClientSettings.load(url="unix:/run/engine").url == "unix:/run/engine"
    monkeypatch.setenv("ENGINE_URI", "ws://10.0.0.7:8998")
    with pytest.raises(SettingError, match="did you mean ENGINE_URL"):
        ClientSettings.load()
