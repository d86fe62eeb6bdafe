"""A whole engine over real sockets, with a model that says back what it hears."""

import asyncio
import socket
import struct
from pathlib import Path

import aiohttp
import aiohttp.web
import numpy as np
import pytest
from aiohttp.test_utils import TestServer

from engine.client import EngineClient, EngineSession
from engine.errors import (
    EngineDraining,
    EngineFull,
    EngineUnreachable,
    ForbiddenOrigin,
    SettingError,
    TooManySessions,
    Unauthorized,
)
from engine.protocol import Audio, Ended, Event, Failure, Ready, Report, SessionRequest, Text
from engine.step.frames import Sampling
from tests.engine.service.conftest import RunningEngine, StartEngine

TOKEN = "a-secret-of-some-length"


def sound(frames: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).integers(-3000, 3000, 1920 * frames, np.int16).tobytes()


async def events(session: EngineSession) -> list[Event]:
    return [event async for event in session]


async def answers(session: EngineSession, frames: int) -> list[Audio]:
    """The next `frames` answers; the session stays open."""
    found: list[Audio] = []
    async for event in session:
        if isinstance(event, Audio):
            found.append(event)
            if len(found) == frames:
                break
    return found


async def test_a_session_says_its_terms_then_answers_every_frame_and_ends(engine: RunningEngine) -> None:
    session = await engine.client.open(SessionRequest(seed=5))
    assert (session.ready.model, session.ready.seed, session.ready.model_delay_ms) == ("fake", 5, 80)
    await session.send(sound(3))
    await answers(session, 3)
    await session.end()
    assert await events(session) == [Text(2, " you"), Ended("hang_up")]


@pytest.mark.parametrize("piece_bytes", [7, 640, 3840, 3841, 20_000])
async def test_sound_in_pieces_of_any_length_is_answered_frame_by_frame(
    engine: RunningEngine, piece_bytes: int
) -> None:
    pcm = sound(2)
    session = await engine.client.open(SessionRequest())
    for at in range(0, len(pcm), piece_bytes):
        await session.send(pcm[at : at + piece_bytes])
    got = await answers(session, len(pcm) // 3840)
    assert b"".join(answer.pcm for answer in got) == pcm
    assert [answer.frame for answer in got] == list(range(len(got)))


async def test_words_come_with_the_frame_they_belong_to(engine: RunningEngine) -> None:
    session = await engine.client.open(SessionRequest())
    await session.send(sound(4))
    got: list[Event] = []
    async for event in session:
        got.append(event)
        if isinstance(event, Audio) and event.frame == 3:
            break
    assert [event for event in got if isinstance(event, Text)] == [Text(1, " hear"), Text(2, " you")]


async def test_the_session_draws_with_what_its_query_asks(engine: RunningEngine) -> None:
    request = SessionRequest(temperature=0.5, top_k=10, temperature_text=0.1, top_k_text=3, seed=9)
    await engine.client.open(request)
    while not engine.runner.joined:
        await asyncio.sleep(0.01)
    assert list(engine.runner.joined[0].values()) == [Sampling(0.5, 10, 0.1, 3, seed=9)]


async def test_sessions_without_a_seed_draw_different_ones(engine: RunningEngine) -> None:
    one = await engine.client.open(SessionRequest())
    two = await engine.client.open(SessionRequest())
    assert one.ready.seed != two.ready.seed


async def test_a_caller_too_many_is_refused_before_the_upgrade(
    engine: RunningEngine,
) -> None:
    await engine.client.open(SessionRequest())
    last = await engine.client.open(SessionRequest())
    with pytest.raises(EngineFull) as refusal:
        await engine.client.open(SessionRequest())
    assert (refusal.value.seats, refusal.value.in_calls) == (2, 2)
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{engine.http}/v1/session", headers=UPGRADE) as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "3")
        assert (await answer.json())["error"] == "engine_full"
    await last.send(sound(1))
    assert len(await answers(last, 1)) == 1


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


async def test_a_seat_is_free_as_soon_as_its_call_ends(engine: RunningEngine) -> None:
    for _ in range(3):
        both = [await engine.client.open(SessionRequest()) for _ in range(2)]
        for session in both:
            await session.end()
            assert await events(session) == [Ended("hang_up")]
    assert (await engine.client.seats()).in_calls == 0


async def test_a_lost_connection_frees_its_seat(engine: RunningEngine) -> None:
    session = await engine.client.open(SessionRequest())
    await session.close()
    async with asyncio.timeout(60):
        while (await engine.client.seats()).in_calls:
            await asyncio.sleep(0.01)


async def test_what_is_said_while_the_connection_breaks_is_lost_without_a_word(engine: RunningEngine) -> None:
    session = await engine.client.open(SessionRequest())
    transport = session._socket._conn.transport  # type: ignore[union-attr]  # as a cable that is pulled
    transport.abort()  # type: ignore[union-attr]
    await session.send(sound(1))
    await session.report(Report(0, 0, 0, 0))
    await session.end()
    with pytest.raises(EngineUnreachable, match="was lost"):
        await events(session)


async def test_a_reserved_seat_waits_for_its_owner(engine: RunningEngine) -> None:
    await engine.client.open(SessionRequest())
    await engine.client.reserve("job-1", 20)
    with pytest.raises(EngineFull):
        await engine.client.open(SessionRequest())
    with pytest.raises(EngineFull):
        await engine.client.reserve("job-2", 20)
    owner = await engine.client.open(SessionRequest(seat="job-1"))
    assert owner.ready.session


async def test_a_released_seat_is_free(engine: RunningEngine) -> None:
    await engine.client.reserve("AJ_x-1.y", 20)
    assert (await engine.client.seats()).reserved == 1
    await engine.client.release("AJ_x-1.y")
    await engine.client.release("job-nobody")
    assert (await engine.client.seats()).reserved == 0


@pytest.mark.parametrize(
    "body", ["", "[]", '{"ttl_s": 3}', '{"id": "x", "ttl_s": "soon"}', '{"id": "x", "ttl_s": 900}']
)
async def test_a_seat_asked_for_wrongly_is_an_error_that_shows_how(engine: RunningEngine, body: str) -> None:
    async with aiohttp.ClientSession() as http, http.post(f"{engine.http}/v1/seats", data=body) as answer:
        assert answer.status == 400
        assert "ttl_s" in (await answer.json())["message"]


async def test_a_seat_asked_for_in_no_known_encoding_is_an_error(engine: RunningEngine) -> None:
    headers = {"Content-Type": "application/json; charset=nonsense"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{engine.http}/v1/seats", data="{}", headers=headers) as answer,
    ):
        assert answer.status == 400


async def test_a_slot_is_reset_for_its_next_session(engine: RunningEngine) -> None:
    for _ in range(4):
        session = await engine.client.open(SessionRequest())
        await session.send(sound(2))
        await answers(session, 2)
        await session.end()
        tokens = [event.frame for event in await events(session) if isinstance(event, Text)]
        assert tokens == [1]


async def test_an_answer_to_a_session_that_left_reaches_nobody(engine: RunningEngine) -> None:
    engine.runner.open_gate.clear()
    gone = await engine.client.open(SessionRequest())
    await gone.send(sound(1, seed=1))
    assert await asyncio.to_thread(engine.runner.stepping.wait, 5)
    await gone.end()
    await events(gone)
    later = [await engine.client.open(SessionRequest()) for _ in range(2)]
    engine.runner.open_gate.set()
    for number, session in enumerate(later):
        await session.send(sound(1, seed=10 + number))
        (answer,) = await answers(session, 1)
        assert answer.pcm == sound(1, seed=10 + number)


@pytest.mark.parametrize(
    ("message", "says"),
    [("not json", "JSON object"), ('{"type": "end", "why": 1}', "type alone")],
)
async def test_a_message_that_breaks_the_rules_ends_its_session_alone(
    engine: RunningEngine, message: str, says: str
) -> None:
    other = await engine.client.open(SessionRequest())
    url = f"{engine.url}/v1/session"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        await socket.receive_json()
        await socket.send_str(message)
        failure, ended = await socket.receive_json(), await socket.receive_json()
    assert (failure["code"], ended) == ("bad_session", {"type": "ended", "reason": "error"})
    assert says in failure["message"]
    await other.send(sound(1))
    assert len(await answers(other, 1)) == 1


async def test_sound_faster_than_real_time_ends_its_session_alone(engine: RunningEngine) -> None:
    other = await engine.client.open(SessionRequest())
    greedy = await engine.client.open(SessionRequest())
    for _ in range(13):
        await greedy.send(b"\0" * 48_000)
    last = (await events(greedy))[-2:]
    assert isinstance(last[0], Failure)
    assert "faster than real time" in last[0].message
    assert last[1] == Ended("error")
    await other.send(sound(1))
    assert len(await answers(other, 1)) == 1


async def test_too_many_messages_end_their_session(engine: RunningEngine) -> None:
    session = await engine.client.open(SessionRequest())
    for number in range(3000):
        await session.report(Report(number, 0, 0, 0))
    failure, ended = await events(session)
    assert isinstance(failure, Failure)
    assert "messages a second" in failure.message
    assert ended == Ended("error")


async def test_opening_sessions_without_end_is_refused_with_a_word(start_engine: StartEngine) -> None:
    async def open_and_end(times: int) -> None:
        for _ in range(times):
            session = await engine.client.open(SessionRequest())
            await session.end()
            await events(session)

    async with start_engine(slots=1) as engine:
        await open_and_end(20)
        with pytest.raises(TooManySessions, match="wait a second"):
            await open_and_end(20)


async def test_a_promised_seat_is_kept_while_others_open_too_fast(start_engine: StartEngine) -> None:
    async def open_without_end() -> None:
        while True:
            await (await engine.client.open(SessionRequest())).end()

    async def reserve_without_end() -> None:
        while True:
            await engine.client.reserve("job-2", 20)

    async with start_engine(slots=30) as engine:
        await engine.client.reserve("job-1", 20)
        with pytest.raises(TooManySessions):
            await open_without_end()
        with pytest.raises(TooManySessions):
            await reserve_without_end()
        assert (await engine.client.open(SessionRequest(seat="job-1"))).ready.session


@pytest.fixture
def no_rate_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("_BYTES_PER_SECOND", "_BURST_BYTES", "_MESSAGES_PER_SECOND", "_BURST_MESSAGES"):
        monkeypatch.setattr(f"engine.service.pace.{limit}", 1e12)


async def deaf_client(engine: RunningEngine, path: str = "/v1/session") -> asyncio.StreamWriter:
    """A client that talks and reads nothing, with as little room for answers as the system allows."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", int(engine.url.rsplit(":", 1)[1])))
    deaf.setblocking(False)
    _reader, writer = await asyncio.open_connection(sock=deaf, limit=1024)
    head = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    writer.write(f"GET {path} HTTP/1.1\r\nHost: engine\r\n{head}\r\n".encode())
    return writer


async def talk(writer: asyncio.StreamWriter, frames: int) -> None:
    for _ in range(frames // 12):
        writer.write(masked(sound(12)))
        await writer.drain()


@pytest.mark.usefixtures("no_rate_limits")
@pytest.mark.parametrize("path", ["/v1/session", "/api/chat"])
async def test_a_client_that_does_not_read_is_cut_off(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("engine.service.session_socket._LAST_WORDS_S", 0.1)
    monkeypatch.setattr("engine.service.chat_call.LAST_WORDS_S", 0.1)
    async with start_engine(slots=1) as engine:
        deaf = await deaf_client(engine, path)
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(talk(deaf, 1_000_000), 30)
        assert (await engine.client.seats()).in_calls == 0
        owner = await engine.client.open(SessionRequest())
        await owner.send(sound(1))
        assert len(await answers(owner, 1)) == 1


@pytest.mark.usefixtures("no_rate_limits")
async def test_a_client_that_is_gone_in_the_middle_of_an_answer_is_no_error(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("engine.service.session._MAX_UNSENT_EVENTS", 1_000_000)
    async with start_engine(slots=1) as engine:
        deaf = await deaf_client(engine)
        await asyncio.wait_for(talk(deaf, 6000), 30)
        deaf.transport.abort()
        async with asyncio.timeout(60):
            while (await engine.client.seats()).in_calls:
                await asyncio.sleep(0.01)
    assert not [record.message for record in caplog.records if record.levelname == "ERROR"]


def masked(pcm: bytes) -> bytes:
    """A binary WebSocket message of a client, RFC 6455, with a mask of zeros."""
    return struct.pack("!BBQ", 0x82, 0x80 | 127, len(pcm)) + b"\0\0\0\0" + pcm


async def test_an_oversized_message_ends_its_session(engine: RunningEngine) -> None:
    session = await engine.client.open(SessionRequest())
    await session.send(b"\0" * 300_000)
    with pytest.raises(EngineUnreachable):
        await events(session)
    async with asyncio.timeout(60):
        while (await engine.client.seats()).in_calls:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "query", [{"temprature": "1"}, {"seed": "-1"}, {"voice": "NATF0"}, {"prompt": "Be kind."}]
)
async def test_a_bad_parameter_is_refused_before_the_upgrade(
    engine: RunningEngine, query: dict[str, str]
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{engine.http}/v1/session", params=query, headers=UPGRADE) as answer,
    ):
        assert answer.status == 400
        assert next(iter(query)) in (await answer.json())["message"]
    assert (await engine.client.seats()).in_calls == 0


async def test_a_plain_request_for_a_session_is_told_what_it_is(engine: RunningEngine) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{engine.http}/v1/session") as answer:
        assert answer.status == 400
        assert "WebSocket" in (await answer.json())["message"]


async def test_a_token_is_asked_of_everybody_who_wants_a_session_or_a_seat(start_engine: StartEngine) -> None:
    async with start_engine(token=TOKEN) as engine:
        for wrong in (None, "another-secret-of-length"):
            async with EngineClient(engine.url, wrong) as stranger:
                with pytest.raises(Unauthorized, match="ENGINE_TOKEN"):
                    await stranger.open(SessionRequest())
                with pytest.raises(Unauthorized):
                    await stranger.reserve("job-1", 20)
        session = await engine.client.open(SessionRequest())
        assert session.ready.session
        async with aiohttp.ClientSession() as http:
            for path in ("/healthz", "/readyz", "/metrics"):
                assert (await http.get(engine.http + path)).status == 200


async def test_what_is_no_text_at_all_gets_an_error_like_any_other(start_engine: StartEngine) -> None:
    async with start_engine(token=TOKEN) as engine, aiohttp.ClientSession() as http:
        async with http.get(f"{engine.http}/v1/seats", headers={"Authorization": "Bearer \xff"}) as answer:
            assert answer.status == 401
        right = {"Authorization": f"Bearer {TOKEN}"}
        async with http.post(f"{engine.http}/v1/seats", headers=right, data="[" * 4000) as answer:
            assert answer.status == 400


async def test_a_web_page_needs_an_allowed_origin(start_engine: StartEngine) -> None:
    allowed = "https://good.example,https://fine.example"
    async with start_engine(origins=allowed) as engine, aiohttp.ClientSession() as http:
        url = f"{engine.http}/v1/session"
        async with http.ws_connect(url, origin="https://fine.example") as socket:
            assert (await socket.receive_json())["type"] == "ready"
        for origin in ("https://evil.example", "null"):
            async with http.get(url, headers={**UPGRADE, "Origin": origin}) as answer:
                assert answer.status == 403
                assert (await answer.json())["error"] == ForbiddenOrigin.code


async def test_a_session_on_the_unix_socket_is_like_any_other(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    path = tmp_path / "engine.sock"
    async with start_engine(socket=path) as engine, EngineClient(f"unix:{path}") as client:
        assert path.stat().st_mode & 0o777 == 0o600
        session = await client.open(SessionRequest())
        await session.send(sound(1))
        assert len(await answers(session, 1)) == 1
        assert (await engine.client.seats()).in_calls == 1
    assert not path.exists()


async def test_a_socket_in_use_is_an_error_and_a_stale_one_is_replaced(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    path = tmp_path / "engine.sock"
    async with start_engine(socket=path):
        with pytest.raises(SettingError, match="another process listens there"):
            async with start_engine(socket=path):
                pass
    path.touch()
    with pytest.raises(SettingError, match="cannot listen on the Unix socket"):
        async with start_engine(socket=path):
            pass


async def test_a_port_in_use_is_an_error_that_names_it(
    engine: RunningEngine, start_engine: StartEngine
) -> None:
    port = int(engine.url.rsplit(":", 1)[1])
    with pytest.raises(SettingError, match=rf"cannot listen on 127\.0\.0\.1:{port} .*choose another --port"):
        async with start_engine(port=port):
            pass


async def test_a_draining_engine_finishes_its_calls_and_takes_no_others(start_engine: StartEngine) -> None:
    async with start_engine() as engine:
        session = await engine.client.open(SessionRequest())
        engine.shutdown.request()
        await asyncio.sleep(0)
        for attempt in (engine.client.open(SessionRequest()), engine.client.reserve("job-1", 20)):
            with pytest.raises(EngineDraining):
                await attempt
        async with aiohttp.ClientSession() as http:
            assert (await http.get(engine.http + "/readyz")).status == 503
            assert (await http.get(engine.http + "/healthz")).status == 200
        await session.send(sound(2))
        assert len(await answers(session, 2)) == 2
        assert not engine.served.done()
        await session.end()
        assert await asyncio.wait_for(engine.served, 60) is True


async def test_a_promised_seat_is_kept_by_a_draining_engine(start_engine: StartEngine) -> None:
    async with start_engine() as engine:
        await engine.client.reserve("job-1", 20)
        engine.shutdown.request()
        await asyncio.sleep(0.2)
        session = await engine.client.open(SessionRequest(seat="job-1"))
        await session.send(sound(1))
        assert len(await answers(session, 1)) == 1
        await session.end()
        assert await asyncio.wait_for(engine.served, 60) is True


async def test_a_drain_that_lasts_too_long_ends_the_calls_with_a_word(start_engine: StartEngine) -> None:
    async with start_engine(drain_seconds=0.2) as engine:
        session = await engine.client.open(SessionRequest())
        engine.shutdown.request()
        assert await events(session) == [Ended("drain")]
        assert await asyncio.wait_for(engine.served, 60) is True


async def test_a_step_that_fails_tells_every_session_and_the_operator(start_engine: StartEngine) -> None:
    async with start_engine() as engine:
        sessions = [await engine.client.open(SessionRequest()) for _ in range(2)]
        engine.runner.broken = "the device is gone"
        await sessions[0].send(sound(1))
        for session in sessions:
            failure, ended = await events(session)
            assert isinstance(failure, Failure)
            assert failure.message == "the engine failed: call again, or use another"
            assert ended == Ended("error")
        assert await asyncio.wait_for(engine.served, 60) is False


async def test_an_engine_that_hangs_is_lost_after_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.client.HEARTBEAT_S", 0.1)

    async def hang(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        socket = aiohttp.web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await socket.send_str(Ready("ab12", "hanging", 1, 80).to_wire())
        async for _ in socket:
            pass
        return socket

    app = aiohttp.web.Application()
    app.router.add_get("/v1/session", hang)
    async with TestServer(app) as server, EngineClient(f"ws://127.0.0.1:{server.port}") as client:
        session = await client.open(SessionRequest())
        with pytest.raises(EngineUnreachable, match="was lost"):
            await asyncio.wait_for(events(session), 5)


async def test_a_client_learns_what_is_served_before_a_session(engine: RunningEngine) -> None:
    card = await engine.client.model()
    session = await engine.client.open(SessionRequest())
    assert (session.ready.model, session.ready.model_delay_ms) == (card.model, card.model_delay_ms)
    assert {"temperature", "seed"} <= set(card.settings)
    assert "voice" not in card.settings, "which Moshi has none of"
    await session.close()


async def test_a_client_may_read_the_metrics(engine: RunningEngine) -> None:
    session = await engine.client.open(SessionRequest())
    assert "\nmoshi_seats_used 1.0\n" in await engine.client.metrics()
    await session.close()


async def test_nobody_at_the_address_is_an_error_that_says_so() -> None:
    async with EngineClient("ws://127.0.0.1:9") as client:
        with pytest.raises(EngineUnreachable, match="is it running, and is ENGINE_URL right"):
            await client.open(SessionRequest())


@pytest.mark.parametrize("url", ["127.0.0.1:8998", "http://127.0.0.1:8998", "unix:", "ws://", "ws://h:99999"])
async def test_an_address_that_is_none_says_what_one_looks_like(url: str) -> None:
    with pytest.raises(SettingError, match="ws://host:port"):
        EngineClient(url)
