"""`make run PUBLIC_IP=...` from another machine: two network namespaces with a cable between them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.certificate import self_signed
from deploy.public import Public
from deploy.run import introduction
from engine.errors import SettingError
from tests.project.test_run import NEEDED, ROOT, read_until
from worker.settings import WorkerSettings

BOX_IP, LAPTOP_IP = "203.0.113.7", "203.0.113.9"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@dataclass(frozen=True)
class Machine:
    """A network namespace."""

    name: str

    def connect(self, device: str, address: str) -> None:
        ip("-n", self.name, "address", "add", f"{address}/24", "dev", device)
        for link in ("lo", device):
            ip("-n", self.name, "link", "set", link, "up")

    def run(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[Machine, Machine]]:
    """A GPU box somewhere else, and a laptop here."""
    box, laptop = (Machine(f"moshi-{who}-{os.getpid()}") for who in ("box", "laptop"))
    # A name of at most 15 letters.
    cable = [f"b{os.getpid()}", f"l{os.getpid()}"]
    made = []
    try:
        try:
            for machine in (box, laptop):
                ip("netns", "add", machine.name)
                made.append(machine)
            ip(
                "link",
                "add",
                cable[0],
                "netns",
                box.name,
                "type",
                "veth",
                "peer",
                cable[1],
                "netns",
                laptop.name,
            )
            box.connect(cable[0], BOX_IP)
            laptop.connect(cable[1], LAPTOP_IP)
        except OSError as cannot:
            pytest.skip(f"needs network namespaces, which take root and iproute2: {cannot}")
        yield box, laptop
    finally:
        for machine in made:
            ip("netns", "delete", machine.name)


@dataclass(frozen=True)
class PublicRun:
    """What `make run` said, and the folder that it runs in."""

    said: str
    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / ".cache" / "public" / f"{BOX_IP}.crt"

    @property
    def page(self) -> tuple[str, str]:
        """The page's address and the secret behind it."""
        found = re.search(r"in a browser:\n\n\s+(\S+)#secret=(\S+)\n", self.said)
        assert found, self.said
        return found[1], found[2]


@pytest.fixture(scope="module")
def public(
    machines: tuple[Machine, Machine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PublicRun]:
    folder = tmp_path_factory.mktemp("box")
    for name in NEEDED:
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    own = ("LIVEKIT_", "ENGINE_", "WORKER_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    settings = {"PUBLIC_IP": BOX_IP, "ENGINE_ALLOW_SLOWER_THAN_REAL_TIME": "1", "PYTHONPATH": str(ROOT)}
    command = machines[0].run(sys.executable, "-m", "deploy.run")
    with subprocess.Popen(
        command,
        cwd=folder,
        env=inherited | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield PublicRun(read_until(process, "Ctrl-C stops"), folder)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def call_from(laptop: Machine, public: PublicRun, *secret: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.project.call_from_elsewhere"]
    done = subprocess.run(
        laptop.run(*command, public.page[0], str(public.certificate), *secret),
        cwd=ROOT,
        # Whom LiveKit's SDK trusts; a browser asks its user.
        env=os.environ | {"SSL_CERT_FILE": str(public.certificate)},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_printed_address_is_all_that_a_laptop_needs(
    machines: tuple[Machine, Machine], public: PublicRun
) -> None:
    address, secret = public.page
    assert address == f"https://{BOX_IP}:8443/"
    heard = call_from(machines[1], public, secret)
    assert heard["url"] == f"wss://{BOX_IP}:8443"
    assert heard["share"] > 0.6


def test_where_udp_cannot_pass_media_goes_over_tcp(
    machines: tuple[Machine, Machine], public: PublicRun
) -> None:
    no_udp = ("ipproto", "udp", "prohibit", "pref", "10")
    ip("-n", machines[1].name, "rule", "add", *no_udp)
    try:
        assert call_from(machines[1], public, public.page[1])["share"] > 0.6
    finally:
        ip("-n", machines[1].name, "rule", "delete", *no_udp)


def test_without_the_secret_nobody_calls(machines: tuple[Machine, Machine], public: PublicRun) -> None:
    assert call_from(machines[1], public) == {"status": 401}


def test_engine_and_livekits_own_port_stay_on_the_box(
    machines: tuple[Machine, Machine], public: PublicRun
) -> None:
    probe = (
        "import socket, sys\n"
        "for port in map(int, sys.argv[2:]):\n"
        "    with socket.socket() as s: s.settimeout(2); print(port, s.connect_ex((sys.argv[1], port)))"
    )
    command = machines[1].run(sys.executable, "-c", probe, BOX_IP, "8443", "7881", "7880", "8998")
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    reached = {port for port, error in zip(found[::2], found[1::2], strict=True) if error == "0"}
    assert reached == {"8443", "7881"}


def test_what_is_secret_is_for_our_eyes_only(public: PublicRun) -> None:
    folder = public.certificate.parent
    secrets = [folder / "livekit.yaml", folder / "call-secret", folder / f"{BOX_IP}.key"]
    assert [file.stat().st_mode & 0o077 for file in secrets] == [0, 0, 0]
    key = re.search(r'^keys:\n  "run": "(.{32,})"$', (folder / "livekit.yaml").read_text(), re.M)
    assert key
    assert key[1] not in public.said


@pytest.mark.parametrize("address", ["example.org", "127.0.0.1", "0.0.0.0", ""])
def test_an_address_that_nobody_could_reach_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="PUBLIC_IP="):
        Public.prepare(address, WorkerSettings(), tmp_path)


def test_what_somebody_chose_stays(tmp_path: Path) -> None:
    chosen = WorkerSettings(
        livekit_url="wss://project.livekit.cloud",
        livekit_api_key="theirs",
        livekit_api_secret=SecretStr("k" * 32),
        worker_web_host="203.0.113.7",
        worker_web_port=443,
        worker_tls_cert=tmp_path / "cert.pem",
        worker_tls_key=tmp_path / "key.pem",
        worker_call_secret=SecretStr("open sesame 1234"),
    )
    public = Public.prepare(BOX_IP, chosen, tmp_path)
    assert public.environment == {}
    said = introduction(chosen, public)
    assert f"https://{BOX_IP}:443/#secret=open+sesame+1234" in said
    assert "7881" not in said, "the media is LiveKit Cloud's"


@needs_openssl
def test_certificate_and_secret_are_kept_between_runs(tmp_path: Path) -> None:
    first, second = (Public.prepare(BOX_IP, WorkerSettings(), tmp_path) for _ in range(2))
    assert first.environment["WORKER_CALL_SECRET"] == second.environment["WORKER_CALL_SECRET"]
    assert first.environment["LIVEKIT_API_SECRET"] != second.environment["LIVEKIT_API_SECRET"]
    certificate = Path(first.environment["WORKER_TLS_CERT"])
    before = certificate.read_bytes()
    Public.prepare(BOX_IP, WorkerSettings(), tmp_path)
    assert certificate.read_bytes() == before
    certificate.write_text("damaged")
    (tmp_path / "call-secret").write_text("")
    repaired = Public.prepare(BOX_IP, WorkerSettings(), tmp_path)
    assert len(repaired.environment["WORKER_CALL_SECRET"]) >= 16
    assert certificate.read_text().startswith("-----BEGIN CERTIFICATE")


def test_without_openssl_it_says_what_else_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingError, match=r"no openssl.*WORKER_TLS_CERT"):
        self_signed(tmp_path, BOX_IP)
