import asyncio
import shutil
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.certificate import self_signed
from engine.errors import SettingError
from tests.worker.web.conftest import KEY, SECRET, Desk
from worker.settings import WorkerSettings
from worker.web.server import web_server


def settings(desk: Desk, **given: Any) -> WorkerSettings:
    return WorkerSettings.load(
        livekit_api_key=KEY, livekit_api_secret=SECRET, engine_url=desk.engine.url, **given
    )


async def test_any_free_port_is_told(desk: Desk) -> None:
    async with (
        web_server(settings(desk), 0, lambda: False) as url,
        aiohttp.ClientSession() as http,
        http.get(f"{url}/api/call") as answer,
    ):
        assert answer.status == 200


async def test_a_page_of_calls_that_need_no_engine_asks_none(desk: Desk) -> None:
    alone = settings(desk, worker_mode="pipeline", worker_llm_model="llama3.2").model_copy(
        update={"engine_url": None}
    )
    async with (
        web_server(alone, 0, lambda: False) as url,
        aiohttp.ClientSession() as http,
        http.get(f"{url}/api/call") as answer,
    ):
        told = await answer.json()
    assert (told["model"], told["settings"], told["voices"]) == ("llama3.2", [], [])


async def test_a_taken_port_is_named_with_the_setting_that_chooses_another(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=rf"{port}.*choose another WORKER_WEB_PORT"):
            await asyncio.wait_for(web_server(settings(desk), port, lambda: False).__aenter__(), 5)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
async def test_page_and_signalling_share_one_certificate(desk: Desk, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    nobody = "ws://127.0.0.1:1"
    tls = settings(desk, worker_tls_cert=certificate, worker_tls_key=key, livekit_url=nobody)
    trusted = ssl.create_default_context(cafile=certificate)
    async with web_server(tls, 0, lambda: False) as url, aiohttp.ClientSession() as http:
        assert url.startswith("https://")
        async with http.get(f"{url}/api/call", ssl=trusted) as answer:
            assert answer.status == 200
        async with http.get(f"{url}/rtc/validate", ssl=trusted) as answer:
            assert answer.status == 502, "there is no LiveKit server here"


async def test_a_certificate_that_cannot_be_used_is_named(desk: Desk, tmp_path: Path) -> None:
    missing = settings(desk, worker_tls_cert=tmp_path / "a.pem", worker_tls_key=tmp_path / "b.pem")
    with pytest.raises(SettingError, match=r"WORKER_TLS_CERT=.*a\.pem"):
        await web_server(missing, 0, lambda: False).__aenter__()
