"""`/api/chat` over real sockets: the official web client's messages, a plain client, a full house."""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import av
import numpy as np
import pytest
from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType, WSServerHandshakeError

from engine.errors import EngineFull
from engine.protocol import SessionRequest
from engine.service.ogg import OggWriter
from engine.service.opus import OpusReader
from engine.step.frames import Sampling
from tests.engine.service.conftest import RunningEngine, StartEngine

TOKEN = "a-secret-of-some-length"
HANDSHAKE = b"\x00"
TONE_HZ = 440
WEB_CLIENTS_QUERY = {
    "text_temperature": "0.7",
    "text_topk": "25",
    "audio_temperature": "0.8",
    "audio_topk": "250",
    "pad_mult": "0",
    "text_seed": "604269",
    "audio_seed": "7",
    "repetition_penalty_context": "64",
    "repetition_penalty": "1",
}


def tone(frames: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    return (8000 * np.sin(2 * np.pi * TONE_HZ * np.arange(frames * 1920) / 24_000)).astype(np.int16)


def recorded(frames: int) -> list[bytes]:
    """A tone as that client's opus-recorder sends it: two headers, then packets of 20 ms, two a page.

    Every page is a message. Its headers name 44.1 kHz and skip 80 ms; sound is what counts.
    """
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format = 24_000, "mono", "s16"
    codec.options = {"application": "audio", "frame_duration": "20", "compression_level": "0"}
    packets = [
        bytes(packet)
        for sound in np.split(tone(frames)[None], 4 * frames, axis=1)
        for packet in codec.encode(heard(sound))
    ]
    ogg = OggWriter(serial=7)
    pages = [
        ogg.page([b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 3840, 44_100, 0, 0)], 0),
        ogg.page([b"OpusTags" + struct.pack("<I10sI", 10, b"RecorderJS", 0)], 0),
    ]
    pages += [ogg.page(packets[at : at + 2], 960 * (at + 2)) for at in range(0, len(packets), 2)]
    return [b"\x01" + page for page in pages]


def heard(sound: np.ndarray[Any, np.dtype[np.int16]]) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(sound, format="s16", layout="mono")
    frame.sample_rate = 24_000
    return frame


def floats(frames: int) -> bytes:
    return (tone(frames) / 32768).astype("<f4").tobytes()


@asynccontextmanager
async def chat(
    engine: RunningEngine,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    *,
    autoping: bool = True,
) -> AsyncIterator[ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{engine.url}/api/chat", params=query, headers=headers, autoping=autoping) as socket,
    ):
        yield socket


async def refusals(engine: RunningEngine, reason: str) -> float:
    async with aiohttp.ClientSession() as http, http.get(engine.http + "/metrics") as page:
        (line,) = (
            line for line in (await page.text()).splitlines() if f'refusals_total{{reason="{reason}"' in line
        )
    return float(line.split()[-1])


async def refusal(engine: RunningEngine, **query: str) -> tuple[int, dict[str, Any], str | None]:
    """Status, body and Retry-After of the answer to an upgrade."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with aiohttp.ClientSession() as http:
        url = f"{engine.http}/api/chat"
        async with http.get(url, params=query, headers=headers) as answer:
            return answer.status, await answer.json(), answer.headers.get("Retry-After")


async def receive(socket: ClientWebSocketResponse) -> bytes:
    return await socket.receive_bytes(timeout=60)


async def hear(socket: ClientWebSocketResponse, frames: int) -> tuple[bytes, str]:
    """The sound and the words of the next answers in Moshi's protocol."""
    reader, pcm, words = OpusReader(), b"", ""
    while len(pcm) < 3840 * frames - 200:
        message = await receive(socket)
        if message[0] == 1:
            pcm += reader.decode(reader.feed(message[1:]))
        elif message[0] == 2:
            words += message[1:].decode()
    return pcm, words


def pitch(pcm: bytes) -> float:
    sound = np.frombuffer(pcm, "<i2")
    return float(np.argmax(np.abs(np.fft.rfft(sound))) * 24_000 / len(sound))


async def count_calls(engine: RunningEngine, calls: int) -> None:
    async with asyncio.timeout(60):
        while (await engine.client.seats()).in_calls != calls:
            await asyncio.sleep(0.01)


async def test_the_web_client_waits_for_the_handshake_then_hears_itself_and_its_words(
    engine: RunningEngine,
) -> None:
    async with chat(engine, WEB_CLIENTS_QUERY) as socket:
        assert await receive(socket) == HANDSHAKE
        assert (await receive(socket))[0] == 4
        for page in recorded(6):
            await socket.send_bytes(page)
        pcm, words = await hear(socket, 5)
    assert pitch(pcm) == pytest.approx(TONE_HZ, rel=0.02)
    assert words == " hear you"
    await count_calls(engine, 0)


async def test_the_web_client_is_told_how_it_is_sampled_in_the_form_that_it_checks(
    engine: RunningEngine,
) -> None:
    query = WEB_CLIENTS_QUERY | {"audio_temperature": "99", "text_topk": "5", "text_seed": "-1", "email": ""}
    async with chat(engine, query) as socket:
        assert await receive(socket) == HANDSHAKE
        message = await receive(socket)
        body = json.loads(message[1:])
    assert message[0] == 4
    assert (body["audio_temperature"], body["audio_topk"], body["text_topk"]) == (10, 250, 5)
    numbers = ("text_temperature", "pad_mult", "repetition_penalty_context", "repetition_penalty")
    assert all(isinstance(body[name], int | float) for name in numbers)
    assert all(isinstance(body[name], str) for name in ("lm_model_file", "instance_name"))
    assert len(body["build_info"]) == 10
    assert set(map(type, body["build_info"].values())) == {str}
    assert list(engine.runner.joined[0].values()) == [Sampling(10, 250, 0.7, 5, seed=7)]


async def test_a_client_that_speaks_at_once_is_greeted_and_heard_from_its_first_word(
    engine: RunningEngine,
) -> None:
    async with chat(engine) as socket:
        for page in recorded(4):
            await socket.send_bytes(page)
        assert await receive(socket) == HANDSHAKE
        pcm, _ = await hear(socket, 3)
    assert pitch(pcm) == pytest.approx(TONE_HZ, rel=0.02)


@pytest.mark.parametrize("query", [{}, {"format": "pcm_f32le"}])
async def test_a_plain_client_gets_float32_for_float32_and_nothing_else(
    engine: RunningEngine, query: dict[str, str]
) -> None:
    async with chat(engine, query) as socket:
        await socket.send_bytes(floats(3))
        answers = [await receive(socket) for _ in range(3)]
        await asyncio.sleep(0.6)
        await socket.send_bytes(floats(1))
        answers.append(await receive(socket))
    assert [len(answer) for answer in answers] == [4 * 1920] * 4
    assert np.frombuffer(b"".join(answers[:3]), "<f4") == pytest.approx(tone(3) / 32768, abs=1e-6)


async def test_a_plain_client_that_names_its_format_may_take_its_time(engine: RunningEngine) -> None:
    async with chat(engine, {"format": "pcm_f32le"}) as socket:
        await asyncio.sleep(0.7)
        await socket.send_bytes(floats(1))
        assert len(await receive(socket)) == 4 * 1920


async def test_plain_sound_that_is_too_loud_or_no_number_is_clipped(engine: RunningEngine) -> None:
    samples = np.array([2, -2, np.nan, np.inf, -np.inf, 0.5] * 320, "<f4")
    async with chat(engine) as socket:
        await socket.send_bytes(samples.tobytes())
        answer = np.frombuffer(await receive(socket), "<f4")
    assert answer[:6] == pytest.approx([1, -1, 0, 1, -1, 0.5], abs=1e-4)


async def test_kinds_that_are_not_sound_are_passed_over(engine: RunningEngine) -> None:
    async with chat(engine) as socket:
        for message in (b"\x03\x00", b"\x06", b"\x02hello", b"\x04{}", b"\xff\x00\x00", b"\x01"):
            await socket.send_bytes(message)
        assert await receive(socket) == HANDSHAKE
        for page in recorded(3):
            await socket.send_bytes(page)
        pcm, _ = await hear(socket, 2)
    assert pitch(pcm) == pytest.approx(TONE_HZ, rel=0.02)


async def goodbye(socket: ClientWebSocketResponse) -> tuple[str, int | None, str]:
    """The sentence of the last error message, and the code and text of the close frame."""
    sentence = ""
    while True:
        message = await socket.receive(timeout=60)
        if message.type is WSMsgType.BINARY and message.data[0] == 5:
            sentence = message.data[1:].decode()
        elif message.type is WSMsgType.CLOSE:
            return sentence, message.data, str(message.extra)
        assert message.type is WSMsgType.BINARY, "closed without a word"


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (b"\x01OggS", b"\x01RIFFRIFF", "no Ogg stream"),
        (b"\x01OggS", b"\x01" + b"OggS" * 5000, "up to 16 KiB"),
        (bytes(4), b"abc", "3 bytes is no float32"),
        (bytes(4), "hello", "takes binary messages"),
    ],
)
async def test_a_message_that_breaks_the_rules_ends_its_call_with_a_sentence(
    engine: RunningEngine, first: bytes, second: bytes | str, says: str
) -> None:
    async with chat(engine) as other, chat(engine) as socket:
        await other.send_bytes(floats(1))
        await receive(other)
        await socket.send_bytes(first)
        await (socket.send_bytes(second) if isinstance(second, bytes) else socket.send_str(second))
        sentence, code, text = await goodbye(socket)
        assert says in text
        assert code == WSCloseCode.POLICY_VIOLATION
        assert says in sentence or first == bytes(4)
        await other.send_bytes(floats(1))
        assert len(await receive(other)) == 4 * 1920
    await count_calls(engine, 0)


async def test_minutes_of_sound_in_a_few_bytes_are_refused_before_they_are_decoded(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(_reader: OpusReader, _packets: list[bytes]) -> bytes:
        pytest.fail("decoded")

    monkeypatch.setattr(OpusReader, "decode", decode)
    # 120 packets of two bytes, each 120 ms long.
    lengths, packets = bytes([2] * 120), bytes([16 << 3 | 3, 48] * 120)
    page = b"OggS\0\0" + bytes(20) + bytes([len(lengths)]) + lengths + packets
    async with chat(engine) as socket:
        await socket.send_bytes(b"\x01" + page)
        assert "faster than real time" in (await goodbye(socket))[0]


async def test_sound_faster_than_real_time_ends_a_plain_call(engine: RunningEngine) -> None:
    async with chat(engine) as socket:
        for _ in range(16):
            await socket.send_bytes(floats(12) + floats(1)[: 4 * 960])
        assert "faster than real time" in (await goodbye(socket))[2]


async def test_an_engine_that_is_behind_costs_sound_and_not_lag(engine: RunningEngine) -> None:
    async with chat(engine, autoping=False) as socket:
        engine.runner.open_gate.clear()
        for _ in range(60):
            await socket.send_bytes(floats(1))
        await socket.ping()
        # It comes once all before it was read.
        assert (await socket.receive(timeout=60)).type is WSMsgType.PONG
        engine.runner.open_gate.set()
        two_seconds = [await socket.receive_bytes(timeout=60) for _ in range(25)]
        assert two_seconds == 25 * [floats(1)]
        await socket.send_bytes(bytes(len(floats(1))))
        assert await receive(socket) == bytes(len(floats(1))), "the rest was not heard"


async def test_who_is_silent_for_too_long_gives_the_seat_back(start_engine: StartEngine) -> None:
    async with start_engine(chat_idle_seconds=0.3) as engine, chat(engine) as socket:
        sentence, code, _ = await goodbye(socket)
        assert sentence == "no sound for 0.3 s: send silence to stay in a call"
        assert code == WSCloseCode.POLICY_VIOLATION
        await count_calls(engine, 0)


async def test_a_caller_without_answers_gets_signs_of_life(
    engine: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.service.chat_call._PING_S", 0.1)
    async with chat(engine) as socket:
        assert [await receive(socket) for _ in range(3)] == [HANDSHAKE, b"\x06", b"\x06"]


async def test_callers_wait_without_a_word_and_are_taken_in_their_order(start_engine: StartEngine) -> None:
    async with start_engine(slots=1) as engine, chat(engine) as second:
        # Those who wait may talk, as moshi.client does, or be silent, as the web client is.
        assert await receive(second) == HANDSHAKE
        async with chat(engine) as third, chat(engine) as fourth, chat(engine) as gone:
            await third.send_bytes(recorded(2)[0])
            await asyncio.sleep(0.1)
            waiting = [asyncio.create_task(receive(socket)) for socket in (third, fourth)]
            await gone.close()
            await asyncio.sleep(0.7)
            assert not any(task.done() for task in waiting)
            await second.close()
            assert await waiting[0] == HANDSHAKE
            await asyncio.sleep(0.3)
            assert not waiting[1].done()
            await third.close()
            assert await waiting[1] == HANDSHAKE


async def test_what_is_said_while_waiting_is_not_answered_later(start_engine: StartEngine) -> None:
    async with start_engine(slots=1) as engine, chat(engine) as first:
        await receive(first)
        async with chat(engine) as later:
            for _ in range(20):
                await later.send_bytes(floats(1))
            await first.close()
            async with asyncio.timeout(60):
                while len(engine.runner.joined) < 2:
                    await asyncio.sleep(0.01)
            await later.send_bytes(np.full(1920, 0.25, "<f4").tobytes())
            assert np.frombuffer(await receive(later), "<f4") == pytest.approx(0.25, abs=1e-4)


async def test_a_session_is_refused_at_once_while_chats_wait(start_engine: StartEngine) -> None:
    async with start_engine(slots=1) as engine, chat(engine) as first, chat(engine):
        await receive(first)
        with pytest.raises(EngineFull):
            await engine.client.open(SessionRequest())


async def test_a_line_that_is_full_refuses_before_the_upgrade(start_engine: StartEngine) -> None:
    async with start_engine(slots=1, chat_line=1) as engine, chat(engine) as first, chat(engine):
        await receive(first)
        status, body, retry_after = await refusal(engine)
        assert (status, body["error"], retry_after) == (503, "line_full", "30")
        assert "all seats are taken and 1 callers wait" in body["message"]


async def test_without_a_line_the_last_seat_is_given_and_the_next_caller_refused(
    start_engine: StartEngine,
) -> None:
    async with start_engine(slots=1, chat_line=0) as engine, chat(engine) as only:
        assert await receive(only) == HANDSHAKE
        assert (await refusal(engine))[0] == 503


async def test_without_a_line_those_who_come_together_all_get_the_seats_that_are_free(
    start_engine: StartEngine,
) -> None:
    async with start_engine(slots=4, chat_line=0) as engine, AsyncExitStack() as calls:
        sockets = await asyncio.gather(*(calls.enter_async_context(chat(engine)) for _ in range(4)))
        assert await asyncio.gather(*map(receive, sockets)) == [HANDSHAKE] * 4


async def test_who_waited_too_long_is_told(start_engine: StartEngine) -> None:
    async with (
        start_engine(slots=1, chat_line_seconds=0.3) as engine,
        chat(engine) as first,
    ):
        await receive(first)
        async with chat(engine) as socket:
            sentence, code, _ = await goodbye(socket)
        assert "no seat became free" in sentence
        assert code == WSCloseCode.TRY_AGAIN_LATER
        assert await refusals(engine, "waited_too_long") == 1


async def test_rooms_keep_their_share_of_the_seats(start_engine: StartEngine) -> None:
    async with (
        start_engine(slots=3, room_share=0.5, chat_line=0) as engine,
        chat(engine) as only,
    ):
        assert await receive(only) == HANDSHAKE
        assert (await refusal(engine))[1]["error"] == "line_full"
        for _ in range(2):
            await engine.client.open(SessionRequest())


async def test_an_address_has_so_many_calls(start_engine: StartEngine) -> None:
    async with start_engine(chat_per_address=1) as engine:
        async with chat(engine) as socket:
            await receive(socket)
            status, body, _ = await refusal(engine)
            assert (status, body["error"]) == (429, "too_many_from_address")
        assert await refusals(engine, "too_many_from_address") == 1
        await count_calls(engine, 0)
        async with chat(engine) as socket:
            assert await receive(socket) == HANDSHAKE


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"audio_temperature": "hot"}, "audio_temperature='hot' is not a number"),
        ({"format": "mp3"}, "ask for pcm_f32le"),
        ({"voice_prompt": "../../etc/passwd"}, "fake takes no voice"),
    ],
)
async def test_a_query_that_cannot_be_used_is_an_http_error(
    engine: RunningEngine, query: dict[str, str], says: str
) -> None:
    status, body, _ = await refusal(engine, **query)
    assert status == 400
    assert says in body["message"]


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, {}),
        ({"Authorization": "Basic " + base64.b64encode(f":{TOKEN}".encode()).decode()}, {}),
        ({}, {"worker_auth_id": TOKEN}),
    ],
)
async def test_the_token_comes_as_the_clients_can_send_it(
    start_engine: StartEngine, headers: dict[str, str], query: dict[str, str]
) -> None:
    async with start_engine(token=TOKEN) as engine, chat(engine, query, headers) as socket:
        assert await receive(socket) == HANDSHAKE


@pytest.mark.parametrize("header", ["", "Basic x", "Basic eDp5", "Bearer x"])
async def test_no_token_or_another_is_refused(start_engine: StartEngine, header: str) -> None:
    async with start_engine(token=TOKEN) as engine:
        with pytest.raises(WSServerHandshakeError) as refused:
            async with chat(engine, {"worker_auth_id": "wrong"}, {"Authorization": header}):
                pass
        assert refused.value.status == 401
        # What a URL carries opens nothing but a chat.
        async with (
            aiohttp.ClientSession() as http,
            http.get(engine.http + "/v1/seats", params={"worker_auth_id": TOKEN}) as answer,
        ):
            assert answer.status == 401


async def test_a_foreign_page_is_refused(start_engine: StartEngine) -> None:
    async with start_engine(origins="https://ours.example") as engine:
        async with chat(engine, headers={"Origin": "https://ours.example"}) as socket:
            assert await receive(socket) == HANDSHAKE
        with pytest.raises(WSServerHandshakeError) as refused:
            async with chat(engine, headers={"Origin": "https://theirs.example"}):
                pass
        assert refused.value.status == 403


async def test_an_engine_that_goes_down_says_so_to_those_who_talk_and_those_who_wait(
    start_engine: StartEngine,
) -> None:
    async with start_engine(slots=1, drain_seconds=0.3) as engine, chat(engine) as talking:
        await receive(talking)
        async with chat(engine) as waiting:
            engine.shutdown.request()
            assert "shutting down" in (await goodbye(waiting))[0]
        sentence, code, _ = await goodbye(talking)
        assert "shuts down" in sentence
        assert code == WSCloseCode.GOING_AWAY


async def test_a_step_that_fails_is_told(engine: RunningEngine) -> None:
    async with chat(engine) as socket:
        await receive(socket)
        engine.runner.broken = "the device is gone"
        for page in recorded(2):
            await socket.send_bytes(page)
        sentence, code, _ = await goodbye(socket)
    assert sentence == "the engine failed: call again, or use another"
    assert code == WSCloseCode.INTERNAL_ERROR
