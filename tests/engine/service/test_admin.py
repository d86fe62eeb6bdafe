"""Sessions that lost their process: told to whoever watches, given to whoever asks first."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from engine.admin import EngineAdmin
from engine.admin_protocol import Orphan
from engine.client import EngineSession
from engine.errors import AlreadyClaimed, EngineUnreachable, SessionError, SessionGone, SettingError
from engine.protocol import SessionRequest
from tests.engine.service.conftest import RunningEngine, StartEngine

ANN = SessionRequest(room="lobby", identity="ann", seat="AJ_1")


StartBoth = Callable[..., AbstractAsyncContextManager[tuple[RunningEngine, EngineAdmin]]]


@pytest.fixture
def start(start_engine: StartEngine, tmp_path: Path) -> StartBoth:
    @asynccontextmanager
    async def with_admin(**options: object) -> AsyncIterator[tuple[RunningEngine, EngineAdmin]]:
        path = tmp_path / "admin.sock"
        async with start_engine(admin_socket=path, **options) as engine, EngineAdmin(path) as admin:
            yield engine, admin

    return with_admin


async def next_orphan(orphans: AsyncIterator[Orphan]) -> Orphan:
    async with asyncio.timeout(60):
        return await anext(orphans)


async def lose(session: EngineSession) -> None:
    session._socket._conn.transport.abort()  # type: ignore[union-attr]  # as a process that is killed


async def test_a_watcher_learns_of_each_orphan_those_before_it_too(start: StartBoth) -> None:
    async with start() as (engine, admin):
        first, second = await engine.client.open(ANN), await engine.client.open(ANN)
        await lose(first)
        await asyncio.sleep(0.1)
        orphans = admin.orphans()
        told = await next_orphan(orphans)
        assert (told.session, told.room, told.identity, told.seat) == (
            first.ready.session, "lobby", "ann", "AJ_1"
        )  # fmt: skip
        assert 0 < told.left_s <= 15
        await lose(second)
        assert (await next_orphan(orphans)).session == second.ready.session


async def test_a_call_that_was_hung_up_or_has_no_room_is_nobodys_orphan(start: StartBoth) -> None:
    async with start(slots=3) as (engine, admin):
        ended, roomless, last = [
            await engine.client.open(request) for request in (ANN, SessionRequest(), ANN)
        ]
        orphans = admin.orphans()
        await ended.end()
        for session in (roomless, last):
            await lose(session)
        assert (await next_orphan(orphans)).session == last.ready.session


async def test_the_first_who_claims_an_orphan_has_it_and_goes_on_with_it(start: StartBoth) -> None:
    async with start() as (engine, admin):
        session = await engine.client.open(ANN)
        await lose(session)
        orphan = await next_orphan(admin.orphans())
        outcomes = await asyncio.gather(
            *(admin.claim(orphan.session) for _ in range(5)), return_exceptions=True
        )
        (claim,) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert sum(isinstance(outcome, AlreadyClaimed) for outcome in outcomes) == 4
        with pytest.raises(SessionGone):
            await engine.client.open(ANN, resume=session.ready.resume)
        again = await engine.client.open(ANN, resume=claim.resume)
        assert (claim.session, again.ready.session) == (orphan.session, orphan.session)
        with pytest.raises(SessionGone):
            await admin.claim(orphan.session)


async def test_an_orphan_that_is_lost_again_can_be_claimed_again(start: StartBoth) -> None:
    async with start() as (engine, admin):
        session = await engine.client.open(ANN)
        orphans = admin.orphans()
        for _ in range(2):
            await lose(session)
            orphan = await next_orphan(orphans)
            session = await engine.client.open(ANN, resume=(await admin.claim(orphan.session)).resume)
        assert session.ready.session == orphan.session


async def test_nothing_that_is_no_orphan_can_be_claimed(start: StartBoth) -> None:
    async with start() as (engine, admin):
        session = await engine.client.open(ANN)
        for name in (session.ready.session, "nobody", "no one"):
            with pytest.raises(SessionGone):
                await admin.claim(name)


async def test_administration_is_for_the_engines_user_alone(start: StartBoth, tmp_path: Path) -> None:
    async with start() as (engine, _admin):
        assert (tmp_path / "admin.sock").stat().st_mode & 0o777 == 0o600
        async with aiohttp.ClientSession() as http:
            assert (await http.get(f"{engine.http}/v1/orphans")).status == 404
            assert (await http.post(f"{engine.http}/v1/orphans/x/claim")).status == 404
    assert not (tmp_path / "admin.sock").exists()


async def test_a_plain_request_for_orphans_is_told_what_it_is(start: StartBoth, tmp_path: Path) -> None:
    connector = aiohttp.UnixConnector(str(tmp_path / "admin.sock"))
    async with start(), aiohttp.ClientSession(connector=connector) as http:
        answer = await http.get("http://engine/v1/orphans")
        assert answer.status == SessionError.http_status
        assert "WebSocket" in (await answer.json())["message"]


async def test_a_watcher_is_told_when_the_engine_goes_down(start: StartBoth) -> None:
    async with start() as (engine, admin):
        orphans = admin.orphans()
        waiting = asyncio.ensure_future(anext(orphans))
        await asyncio.sleep(0.2)
        engine.shutdown.request()
        with pytest.raises(EngineUnreachable):
            await asyncio.wait_for(waiting, 60)
        with pytest.raises(EngineUnreachable):
            await admin.claim("x")


async def test_an_address_for_administration_that_is_taken_is_an_error(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    path = tmp_path / "admin.sock"
    path.touch()
    with pytest.raises(SettingError, match="cannot listen on the Unix socket"):
        async with start_engine(admin_socket=path):
            pass
