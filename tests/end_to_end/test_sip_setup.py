"""Telephone numbers at a real LiveKit server with a real Redis. livekit-sip itself is not there."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol.sip import (
    SIPDispatchRuleInfo,
    SIPInboundTrunkInfo,
    SIPMediaEncryption,
    SIPOutboundTrunkInfo,
)
from typer.testing import CliRunner

from engine.client import EngineClient
from tests.end_to_end.conftest import (
    KEY,
    PATIENCE_S,
    SECRET,
    StartWorker,
    environment,
    livekit_server,
)
from tests.end_to_end.processes import ROOT, python
from tests.end_to_end.redis import redis
from worker.cli import app
from worker.phones.dialled import Dialled
from worker.phones.setup import Setup
from worker.settings import LiveKitSettings, SipSettings

pytestmark = pytest.mark.timeout(180)

AGENT = "operator"
NUMBER = "+15550177"
PASSWORDS = {"WORKER_SIP_INBOUND_PASSWORD": "of the provider", "WORKER_SIP_OUTBOUND_PASSWORD": "of ours"}
DIALLED = {"WORKER_DIAL_PREFIXES": "+1555", "WORKER_DIAL_PER_HOUR": "1"}
FILE = """
[inbound]
numbers = ["+15550100"]
allowed_addresses = ["192.0.2.0/24"]
username = "provider"

[outbound]
address = "sip.provider.example"
numbers = ["+15550100"]
transport = "tls"
username = "moshi"
"""

Things = tuple[SIPInboundTrunkInfo | None, SIPDispatchRuleInfo | None, SIPOutboundTrunkInfo | None]


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKitSettings]:
    """A LiveKit server that has a Redis."""
    folder = tmp_path_factory.mktemp("sip")
    with (
        redis(folder) as address,
        livekit_server(folder / "livekit", f"redis:\n  address: {address}\n") as server,
    ):
        yield server.model_copy(update={"livekit_agent_name": AGENT})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a provider gave, in a folder where there is no .env.local."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "trunks.toml"
    path.write_text(FILE)
    return path


def sip(livekit: LiveKitSettings, *arguments: str, agent: str = AGENT) -> tuple[int, list[str]]:
    """The exit code of `python -m worker sip`, and all that it said."""
    named = environment(livekit) | PASSWORDS | DIALLED | {"LIVEKIT_AGENT_NAME": agent}
    result = CliRunner().invoke(app, ["sip", *arguments], env=named)
    return result.exit_code, result.output.splitlines()


def applied(livekit: LiveKitSettings, file: Path) -> list[str]:
    """What `sip setup` did with inbound trunk, rule and outbound trunk."""
    code, said = sip(livekit, "setup", str(file))
    assert code == 0, said
    return [line.split()[-1] for line in said]


def things(livekit: LiveKitSettings) -> Things:
    """What the server has of ours."""

    async def look() -> Things:
        async with api.LiveKitAPI(livekit.livekit_url, KEY, SECRET) as server:
            setup = Setup(SipSettings(**livekit.model_dump()), server)
            return await setup.inbound(), await setup.rule(), await setup.outbound()

    return asyncio.run(look())


def test_what_a_file_says_is_so_once_and_again(joined: LiveKitSettings, file: Path) -> None:
    assert applied(joined, file) == ["created", "created", "created"]
    assert applied(joined, file) == ["unchanged", "unchanged", "unchanged"]
    # As in a container, where the file is not.
    done = subprocess.run(
        python("worker", "sip", "setup", "/dev/stdin"),
        env=os.environ | environment(joined) | PASSWORDS | {"PYTHONPATH": str(ROOT)},
        input=FILE, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["unchanged"] * 3
    inbound, rule, outbound = things(joined)
    assert inbound is not None
    assert rule is not None
    assert outbound is not None
    assert (inbound.auth_username, inbound.auth_password) == ("provider", "of the provider")
    assert list(inbound.allowed_addresses) == ["192.0.2.0/24"]
    assert inbound.max_call_duration.seconds == 3660
    assert list(rule.trunk_ids) == [inbound.sip_trunk_id]
    assert [agent.agent_name for agent in rule.room_config.agents] == [AGENT]
    assert rule.hide_phone_number
    assert not rule.rule.dispatch_rule_individual.no_randomness
    assert (outbound.auth_username, outbound.auth_password) == ("moshi", "of ours")

    file.write_text(FILE.replace("+15550100", "+15550111") + 'encryption = "require"\n')
    assert applied(joined, file) == ["updated", "unchanged", "updated"]
    after, _, safe = things(joined)
    assert after is not None
    assert safe is not None
    assert (after.sip_trunk_id, list(after.numbers)) == (inbound.sip_trunk_id, ["+15550111"])
    assert safe.media_encryption == SIPMediaEncryption.SIP_MEDIA_ENCRYPT_REQUIRE

    file.write_text(FILE.split("[outbound]")[0])
    assert applied(joined, file) == ["updated", "unchanged", "removed"]
    code, shown = sip(joined, "show")
    assert code == 0
    assert "+15550100" in shown[0]
    assert "numbers hidden" in shown[1]
    assert shown[2] == "outbound trunk: none"
    assert "of the provider" not in str(shown)

    # LiveKit could not tell for whom a call to this number is.
    code, said = sip(joined, "setup", str(file), agent="another")
    assert code == 2
    assert "LiveKit does not take this" in said[0]

    assert sip(joined, "remove")[0] == 0
    assert things(joined) == (None, None, None)


def test_a_call_that_cannot_be_placed_counts_and_leaves_no_room_and_no_seat(
    joined: LiveKitSettings,
    file: Path,
    start_worker: StartWorker,
    engine_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A worker that has just begun takes its first call late on a busy machine.
    monkeypatch.setattr("worker.phones.dial.AGENT_WITHIN_S", 25.0)
    engine = f"ws://127.0.0.1:{engine_port}"
    code, said = sip(joined, "call", NUMBER)
    assert code == 2
    assert "python -m worker sip setup" in said[0]
    applied(joined, file)
    with start_worker("start", AGENT, **environment(joined), ENGINE_URL=engine):
        code, said = sip(joined, "call", NUMBER)
        assert code == 3
        assert "no livekit-sip answers" in said[0]
        *_, outbound = things(joined)
        assert outbound is not None
        assert len(Dialled.read(outbound.metadata).at) == 1
        code, said = sip(joined, "call", NUMBER)
        assert code == 3
        assert "WORKER_DIAL_PER_HOUR" in said[0]
        asyncio.run(_nobody_in(joined, engine))
    assert applied(joined, file) == ["unchanged", "unchanged", "unchanged"], "a count is no difference"
    assert sip(joined, "remove")[0] == 0


async def _nobody_in(livekit: LiveKitSettings, url: str) -> None:
    async with api.LiveKitAPI(livekit.livekit_url, KEY, SECRET) as server, EngineClient(url) as engine:
        async with asyncio.timeout(PATIENCE_S):
            while (await server.room.list_rooms(api.ListRoomsRequest())).rooms:
                await asyncio.sleep(0.1)
            while (await engine.seats()).in_calls:
                await asyncio.sleep(0.1)


def test_a_server_without_redis_is_told_apart(livekit: LiveKitSettings, file: Path) -> None:
    code, said = sip(livekit, "setup", str(file))
    assert code == 2
    assert "this LiveKit server has no Redis" in said[0]
