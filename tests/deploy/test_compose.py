"""The compose files, read by the code that Docker Compose reads them with, beside our own settings."""

import asyncio
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.settings import EngineSettings
from tests.lacking import lacking
from worker.settings import WorkerSettings
from worker.watching.readiness import Readiness, answering

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "docker"
COMPOSE_SPEC = ROOT / "bin" / "compose-spec"
PUBLIC_IP = "203.0.113.7"
SECRETS = ("LIVEKIT_API_SECRET", "ENGINE_TOKEN", "WORKER_CALL_SECRET", "GRAFANA_PASSWORD")
OURS = ("engine", "worker")
SETTING = re.compile(r"(ENGINE|WORKER|LIVEKIT)_")


def env_sh(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    shutil.copy(FOLDER / "env.sh", folder)
    return subprocess.run([folder / "env.sh", *arguments], capture_output=True, text=True)


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What env.sh writes for a machine with a name."""
    folder = tmp_path_factory.mktemp("env")
    done = env_sh(folder, PUBLIC_IP, "calls.example.org")
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())


def read(env: dict[str, str], *files: Path) -> "subprocess.CompletedProcess[str]":
    if not COMPOSE_SPEC.exists():
        lacking(f"there is no {COMPOSE_SPEC.relative_to(ROOT)}: make bin/compose-spec, which takes Go")
    # Of this process nothing but what programs need: its own settings must not fill gaps.
    plain = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [COMPOSE_SPEC, *files], env={**plain, **env}, cwd=FOLDER, capture_output=True, text=True
    )


def load(env: dict[str, str], *names: str) -> dict[str, Any]:
    done = read(env, *(FOLDER / name for name in names))
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


@pytest.fixture(scope="module")
def project(env: dict[str, str]) -> dict[str, Any]:
    return load(env, "compose.yaml")


@pytest.fixture(scope="module")
def services(project: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = project["services"]
    return found


def settings_of(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Put us where the service is: its environment, and no file of settings beside us."""
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if SETTING.match(name)]:
        monkeypatch.delenv(name)
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, value)


def published(project: dict[str, Any], host_ip: str | None = None) -> set[str]:
    return {
        f"{port['published']}/{port['protocol']}"
        for service in project["services"].values()
        for port in service.get("ports", ())
        if port.get("host_ip") == host_ip
    }


def test_a_typo_is_an_error(env: dict[str, str], tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((FOLDER / "compose.yaml").read_text().replace("healthcheck:", "healthchek:", 1))
    done = read(env, wrong)
    assert done.returncode == 1
    assert "healthchek" in done.stderr


@pytest.mark.parametrize("name", [*SECRETS, "PUBLIC_IP"])
def test_what_has_to_be_set_is_named_where_it_is_not(env: dict[str, str], name: str) -> None:
    done = read({key: value for key, value in env.items() if key != name}, FOLDER / "compose.yaml")
    assert done.returncode == 1
    assert f"required variable {name} is missing a value: run ./env.sh first" in done.stderr


def test_every_variable_is_explained() -> None:
    page = (ROOT / "docs" / "docker.md").read_text()
    for file in FOLDER.glob("compose*.yaml"):
        for name in re.findall(r"\$\{(\w+)", file.read_text()):
            assert f"`{name}`" in page, name


def test_the_engine_takes_its_settings(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings_of(services["engine"], monkeypatch, tmp_path)
    engine = EngineSettings.load()
    assert engine.checkpoint == "kyutai/moshiko-pytorch-bf16"
    assert engine.log_format == "json"


def test_voices_are_a_folder_that_others_may_change_and_the_engine_may_not(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings_of(services["engine"], monkeypatch, tmp_path)
    [lines] = re.findall(r"```ini\n(.*?)```", (ROOT / "docs" / "docker.md").read_text(), re.S)
    for name, _, value in (line.partition("=") for line in lines.splitlines()):
        monkeypatch.setenv(name, value)
    engine = EngineSettings.load()
    [voices] = [each for each in services["engine"]["volumes"] if each["target"] == str(engine.voices)]
    assert (voices["source"], voices["read_only"]) == (str(FOLDER / "voices"), True)
    assert engine.voice == "ann"
    assert engine.prompt is not None
    assert engine.stt_checkpoint is not None


def test_the_engine_is_asked_whether_it_lives_where_it_answers(services: dict[str, Any]) -> None:
    assert "http://127.0.0.1:8998/healthz" in services["engine"]["healthcheck"]["test"][-1]


@pytest.mark.parametrize(("draining", "code"), [(False, 0), (True, 1)])
async def test_the_worker_is_asked_whether_calls_should_come_and_says_why_not(
    services: dict[str, Any], draining: bool, code: int
) -> None:
    cmd, python, *arguments = services["worker"]["healthcheck"]["test"]
    assert (cmd, python) == ("CMD", "python")
    theirs = services["worker"]["environment"]["WORKER_METRICS_PORT"]
    assert f'"127.0.0.1", {theirs},' in arguments[-1]
    async with answering("127.0.0.1", 0, Readiness(lambda: True, lambda: draining, lambda: True)) as port:
        arguments[-1] = arguments[-1].replace(theirs, str(port))
        asking = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE)
        said, _ = await asyncio.wait_for(asking.communicate(), 60)
    assert asking.returncode == code
    assert said.decode().strip() == ("draining: it takes no new calls" if draining else "ready")


def test_the_worker_takes_its_settings(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings_of(services["worker"], monkeypatch, tmp_path)
    worker = WorkerSettings.load()
    assert worker.livekit_url == "ws://livekit:7880"
    assert worker.worker_web_port == 8080


def test_engine_and_worker_meet_at_the_sockets_that_they_share(services: dict[str, Any]) -> None:
    engine, worker = (services[name]["environment"] for name in OURS)
    assert worker["ENGINE_URL"] == f"unix:{engine['ENGINE_SOCKET']}"
    assert worker["ENGINE_ADMIN_SOCKET"] == engine["ENGINE_ADMIN_SOCKET"]
    for name in OURS:
        mounted = {volume["target"]: volume["source"] for volume in services[name]["volumes"]}
        assert mounted["/run/moshi"] == "sockets"


def test_the_key_is_the_same_everywhere(services: dict[str, Any]) -> None:
    worker = services["worker"]["environment"]
    pair = f"{worker['LIVEKIT_API_KEY']}: {worker['LIVEKIT_API_SECRET']}"
    assert services["livekit"]["environment"]["LIVEKIT_KEYS"] == pair
    config = yaml.safe_load((FOLDER / "livekit.yaml").read_text())
    assert config["webhook"]["api_key"] == worker["LIVEKIT_API_KEY"]


def test_a_stop_waits_for_the_longest_call(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings_of(services["worker"], monkeypatch, tmp_path)
    longest_s = WorkerSettings.load().worker_max_call_seconds
    for name in OURS:
        hours, minutes, seconds = map(
            int, re.findall(r"\d+", services[name]["stop_grace_period"]) or (0, 0, 0)
        )
        assert 3600 * hours + 60 * minutes + seconds >= longest_s + 120, name


def test_the_root_file_systems_are_read_only_and_nobody_may_do_more_than_he_needs(
    services: dict[str, Any],
) -> None:
    for name, service in services.items():
        assert service["read_only"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert not service.get("privileged"), name
    for name in OURS:
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["tmpfs"] == ["/tmp"]


def test_others_reach_the_page_and_media_alone(project: dict[str, Any]) -> None:
    config = yaml.safe_load((FOLDER / "livekit.yaml").read_text())["rtc"]
    first, last = map(int, config["udp_port"].split("-"))
    media = {f"{config['tcp_port']}/tcp", *(f"{port}/udp" for port in range(first, last + 1))}
    assert published(project) == {"80/tcp", "443/tcp"} | media
    assert published(project, "127.0.0.1") == {"8080/tcp", "9090/tcp", "3000/tcp"}


def test_the_page_is_public_for_who_wants_that(services: dict[str, Any], env: dict[str, str]) -> None:
    assert services["caddy"]["profiles"] == ["public"]
    assert env["COMPOSE_PROFILES"] == "public"
    assert services["caddy"]["environment"]["DOMAIN"] == "calls.example.org"


def test_every_part_waits_for_those_that_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if (name, other) == ("worker", "caddy"):
                # Needs it for nothing, and is stopped before it: its callers come through it.
                assert how == {"condition": "service_started", "required": False}
                continue
            assert how["condition"] == "service_healthy", name
            assert "healthcheck" in services[other], other
    assert set(services["worker"]["depends_on"]) == {"engine", "livekit", "caddy"}


@pytest.mark.parametrize("names", [("compose.yaml",), ("compose.yaml", "compose.sip.yaml")])
def test_whatever_is_mounted_is_there(env: dict[str, str], names: tuple[str, ...]) -> None:
    project = load(env, *names)
    for service in project["services"].values():
        for volume in service.get("volumes", ()):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists(), volume["source"]
                assert volume["read_only"]
            else:
                assert volume["source"] in project["volumes"]


def test_prometheus_asks_services_that_there_are(services: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    targets = [
        target
        for job in config["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    ]
    hosts = {target.partition(":")[0] for target in targets}
    assert {"engine", "worker", "livekit"} <= hosts
    assert hosts <= {*services, "localhost"}
    assert f"worker:{services['worker']['environment']['WORKER_METRICS_PORT']}" in targets


def test_every_image_is_of_one_version(env: dict[str, str]) -> None:
    services = load(env, "compose.yaml", "compose.sip.yaml")["services"]
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+", service["image"]), name
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in OURS:
        assert services[name]["image"] == f"moshi-live-{name}:{version}"
        assert services[name]["build"]["dockerfile"] == f"deploy/docker/{name}.Dockerfile"
    server = re.search(r"livekit-server (v\S+)", (ROOT / "deploy" / "livekit-server" / "go.mod").read_text())
    assert server is not None
    assert services["livekit"]["image"] == f"livekit/livekit-server:{server[1]}"


def test_the_gpu_is_reserved_and_the_trial_does_without(env: dict[str, str]) -> None:
    (gpu,) = load({**env, "GPU": "3"}, "compose.yaml")["services"]["engine"]["deploy"]["resources"][
        "reservations"
    ]["devices"]
    assert (gpu["driver"], gpu["device_ids"], gpu["capabilities"]) == ("nvidia", ["3"], ["gpu"])
    trial = load(env, "compose.yaml", "compose.cpu.yaml")["services"]["engine"]
    assert "deploy" not in trial
    assert trial["environment"]["ENGINE_CHECKPOINT"] == "parrot"


def test_telephones_find_livekit_and_redis_on_this_machine_alone(env: dict[str, str]) -> None:
    project = load(env, "compose.yaml", "compose.sip.yaml")
    assert project["services"]["sip"]["network_mode"] == "host"
    config = yaml.safe_load((ROOT / "deploy" / "sip" / "livekit-sip.yaml").read_text())
    redis, livekit = config["redis"]["address"], config["ws_url"].removeprefix("ws://")
    assert {address.partition(":")[0] for address in (redis, livekit)} == {"127.0.0.1"}
    wanted = {f"{address.partition(':')[2]}/tcp" for address in (redis, livekit)}
    assert wanted <= published(project, "127.0.0.1")


def test_the_livekit_server_takes_its_configuration() -> None:
    server = shutil.which("livekit-server") or ROOT / "bin" / "livekit-server"
    if not Path(server).exists():
        lacking("there is no livekit-server: make bin/livekit-server")
    done = subprocess.run(
        [server, "--config", FOLDER / "livekit.yaml", "--node-ip", PUBLIC_IP, "ports"],
        env={**os.environ, "LIVEKIT_KEYS": "moshi: " + "s" * 32},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "7882" in done.stdout


def test_caddy_takes_its_configuration(tmp_path: Path) -> None:
    if shutil.which("caddy") is None:
        lacking("there is no caddy: apt install caddy")
    done = subprocess.run(
        ["caddy", "validate", "--adapter", "caddyfile", "--config", FOLDER / "Caddyfile"],
        env={**os.environ, "DOMAIN": "calls.example.org", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_secrets_are_made_up_anew_and_kept_from_others(tmp_path: Path) -> None:
    written = []
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        assert env_sh(folder, "127.0.0.1").returncode == 0
        file = folder / ".env"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        written.append(dict(line.split("=", 1) for line in file.read_text().splitlines()))
    assert written[0]["COMPOSE_PROFILES"] == ""
    for name in SECRETS:
        assert len(written[0][name]) >= 32
        assert written[0][name] != written[1][name]


def test_env_sh_says_what_it_wants_and_overwrites_nothing(tmp_path: Path) -> None:
    assert "no IP address" in env_sh(tmp_path, "calls.example.org").stderr
    assert "give the address" in env_sh(tmp_path).stderr
    assert not (tmp_path / ".env").exists()
    (tmp_path / ".env").write_text("mine")
    refused = env_sh(tmp_path, PUBLIC_IP)
    assert refused.returncode == 2
    assert (tmp_path / ".env").read_text() == "mine"


def test_secrets_are_not_in_git() -> None:
    for name in (".env", "engine.env", "worker.env"):
        ignored = subprocess.run(["git", "check-ignore", "--quiet", FOLDER / name], cwd=ROOT)
        assert ignored.returncode == 0, name
