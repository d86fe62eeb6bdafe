import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest

from engine.errors import SettingError
from engine.service.tls import server_tls
from engine.settings import EngineSettings
from tests.engine.service.conftest import StartEngine


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A certificate of our own for 127.0.0.1, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    options = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1")
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ["openssl", "req", *options, *subject, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return {"tls_cert": cert, "tls_key": key}


async def test_with_a_certificate_the_port_speaks_tls_and_the_unix_socket_does_not(
    start_engine: StartEngine, files: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "engine.sock"
    trusting = ssl.create_default_context(cafile=str(files["tls_cert"]))
    async with start_engine(socket=path, **files) as engine:
        url = engine.url.replace("ws:", "https:")
        async with aiohttp.ClientSession() as http:
            async with http.ws_connect(url + "/api/chat", ssl=trusting) as socket:
                assert await socket.receive_bytes(timeout=60) == b"\x00"
            with pytest.raises(aiohttp.ClientError):
                await http.get(engine.http + "/healthz")
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
            http.get("http://engine/healthz") as answer,
        ):
            assert answer.status == 200


def test_a_certificate_needs_its_key_and_the_key_its_certificate(files: dict[str, Path]) -> None:
    for given, missing in (("tls_cert", "ENGINE_TLS_KEY"), ("tls_key", "ENGINE_TLS_CERT")):
        with pytest.raises(SettingError, match=f"set {missing} as well"):
            EngineSettings.load(**{given: files[given]})


@pytest.mark.parametrize("damage", ["missing", "swapped", "encrypted"])
def test_files_that_cannot_be_used_are_an_error_that_names_them(files: dict[str, Path], damage: str) -> None:
    cert, key = files["tls_cert"], files["tls_key"]
    if damage == "missing":
        key.unlink()
    elif damage == "swapped":
        cert, key = key, cert
    else:
        options = ("-topk8", "-v2", "aes-256-cbc", "-passout", "pass:secret")
        encrypted = subprocess.run(
            ["openssl", "pkcs8", *options, "-in", str(key)], check=True, capture_output=True
        ).stdout
        key.write_bytes(encrypted)
    with pytest.raises(SettingError, match=r"ENGINE_TLS_CERT=.* and ENGINE_TLS_KEY=.*both as PEM"):
        server_tls(cert, key, "ENGINE_")
