import asyncio
import json
from typing import Any

import jwt
import pytest
from aiohttp.test_utils import TestClient

from engine.protocol import ModelCard
from tests.worker.web.conftest import KEY, SECRET, Desk, Open
from worker.web.door import _AT_ONCE

CALL = "/api/call"


async def ask(web: TestClient[Any, Any], body: object = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """Ask for a call; status and body of the answer."""
    answer = await web.post(CALL, json={} if body is None else body, headers=headers)
    return answer.status, await answer.json()


def claims_of(answer: dict[str, Any]) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(answer["token"], SECRET, algorithms=["HS256"], issuer=KEY)
    return claims


async def test_a_page_is_told_what_it_can_ask_for(desk: Desk, open_web: Open) -> None:
    desk.engine.card = ModelCard("a voice", 80, ("temperature", "voice"), voices=("ann", "bob"))
    answer = await (await open_web()).get(CALL)
    told = await answer.json()
    assert "machine" in told.pop("notice")
    assert told == {
        "model": "a voice",
        "secret": False,
        "settings": ["temperature", "voice"],
        "voices": ["ann", "bob"],
    }


async def test_a_caller_gets_a_room_with_an_agent_and_a_token_for_it(desk: Desk, open_web: Open) -> None:
    web = await open_web(livekit_agent_name="moshi")
    status, answer = await ask(web, {"temperature": 0.5, "seed": 7})
    assert status == 200
    assert answer["url"] == f"ws://{web.host}:{web.port}"
    (room,) = desk.livekit.rooms.values()
    assert room.name == answer["room"]
    assert room.agents[0].agent_name == "moshi"
    assert json.loads(room.agents[0].metadata) == {"moshi": {"temperature": "0.5", "seed": "7"}}
    assert 0 < room.empty_timeout <= 60, "a room that is never entered takes a seat"


async def test_the_token_is_for_one_microphone_in_one_room_and_says_nothing_else(open_web: Open) -> None:
    _, answer = await ask(await open_web(worker_max_call_seconds=60))
    claims = claims_of(answer)
    assert claims["sub"] == answer["identity"]
    assert claims["exp"] - claims["nbf"] == 60
    assert claims["video"] == {
        "roomJoin": True,
        "room": answer["room"],
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
        "canPublishSources": ["microphone"],
        "canUpdateOwnMetadata": False,
    }


async def test_names_cannot_be_chosen_or_guessed(open_web: Open) -> None:
    web = await open_web()
    answers = [(await ask(web))[1] for _ in range(3)]
    assert len({answer["room"] for answer in answers} | {answer["identity"] for answer in answers}) == 6
    assert all(len(answer["identity"]) >= 32 for answer in answers)
    for name in ("room", "identity"):
        status, answer = await ask(web, {name: "somebody"})
        assert (status, answer["error"]) == (400, "bad_session")


async def test_who_comes_back_meets_the_agent_that_waits_for_them(desk: Desk, open_web: Open) -> None:
    web = await open_web()
    _, first = await ask(web)
    status, second = await ask(web, {"call": first["token"]})
    assert status == 200
    assert (second["room"], second["identity"]) == (first["room"], first["identity"])
    assert len(desk.livekit.made) == 1, "the conversation goes on"


async def test_who_comes_back_before_an_agent_that_was_killed_waits_for_it(
    desk: Desk, open_web: Open
) -> None:
    web = await open_web()
    _, first = await ask(web)
    desk.livekit.with_agent.clear()
    asyncio.get_running_loop().call_later(0.1, desk.livekit.with_agent.add, first["room"])
    status, second = await ask(web, {"call": first["token"]})
    assert (status, second["room"]) == (200, first["room"])
    assert len(desk.livekit.made) == 1, "the conversation goes on"


async def test_who_comes_back_too_late_keeps_room_and_identity_and_meets_another_agent(
    desk: Desk, open_web: Open
) -> None:
    web = await open_web()
    _, first = await ask(web)
    desk.livekit.with_agent.clear()
    status, second = await ask(web, {"call": first["token"]})
    assert status == 200
    assert (second["room"], second["identity"]) == (first["room"], first["identity"])
    assert len(desk.livekit.made) == 2
    assert desk.livekit.with_agent == {first["room"]}


async def test_a_room_stays_open_for_as_long_as_its_caller_may_be_gone(desk: Desk, open_web: Open) -> None:
    await ask(await open_web(worker_grace_seconds=40))
    (room,) = desk.livekit.made
    assert 40 < room.departure_timeout < 50


async def test_who_comes_back_after_the_room_is_gone_is_let_in_too(desk: Desk, open_web: Open) -> None:
    web = await open_web()
    _, first = await ask(web)
    desk.livekit.rooms.clear()
    status, second = await ask(web, {"call": first["token"]})
    assert (status, second["identity"]) == (200, first["identity"])


def foreign(room: str, identity: str, secret: str = SECRET, valid_until: int = 1 << 34) -> str:
    claims = {"sub": identity, "iss": KEY, "nbf": 0, "exp": valid_until, "video": {"room": room}}
    return jwt.encode(claims, secret, algorithm="HS256")


OURS = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        foreign("board meeting", "ada"),
        foreign(f"call-{OURS}", "ada"),
        foreign("board meeting", f"caller-{OURS}"),
        foreign(f"call-{OURS}", f"caller-{OURS}", secret="another secret, which is as long as ours"),
        foreign(f"call-{OURS}", f"caller-{OURS}", valid_until=1),
    ],
)
async def test_a_token_that_was_not_given_here_opens_and_closes_nothing(
    desk: Desk, open_web: Open, token: str
) -> None:
    status, answer = await ask(await open_web(), {"call": token})
    assert (status, answer["error"]) == (400, "bad_session")
    assert "no token that this endpoint gave" in answer["message"]
    assert desk.livekit.made == []


async def test_a_second_attempt_is_made_in_another_room(desk: Desk, open_web: Open) -> None:
    web = await open_web()
    desk.livekit.agents = 0
    status, answer = await ask(web)
    assert (status, answer["error"]) == (503, "no_agent")
    first, second = desk.livekit.made
    assert first.name != second.name, "an agent that is late for the first must not come to the second"
    assert desk.livekit.rooms == {}, "nobody is left in a silent room"


async def test_a_room_of_a_second_attempt_is_one_to_come_back_to(desk: Desk, open_web: Open) -> None:
    web = await open_web()
    await ask(web)
    desk.livekit.agents = 0
    real_create = desk.livekit.create_room

    async def second_time_lucky(request: Any) -> None:
        await real_create(request)
        desk.livekit.agents = 1

    desk.livekit.create_room = second_time_lucky  # type: ignore[method-assign]  # an agent for the second room
    _, first = await ask(web)
    assert first["room"] == desk.livekit.made[-1].name != desk.livekit.made[-2].name
    _, second = await ask(web, {"call": first["token"]})
    assert (second["room"], second["identity"]) == (first["room"], first["identity"])
    desk.livekit.with_agent.clear()
    desk.livekit.agents, desk.livekit.create_room = 0, real_create  # type: ignore[method-assign]  # none again
    assert (await ask(web, {"call": second["token"]}))[0] == 503
    assert desk.livekit.made[-1].name != desk.livekit.made[-2].name, "nor may it come there later"


async def test_a_full_house_says_so_after_one_attempt(desk: Desk, open_web: Open) -> None:
    web = await open_web()
    desk.livekit.agents, desk.full = 0, True
    answer = await web.post(CALL, json={})
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert (await answer.json())["error"] == "full"
    assert len(desk.livekit.made) == 1
    assert desk.livekit.rooms == {}


async def test_where_the_own_engine_is_full_another_worker_may_take_the_call(
    desk: Desk, open_web: Open
) -> None:
    desk.full = True
    assert (await ask(await open_web()))[0] == 200


async def test_a_server_or_an_engine_that_does_not_answer_is_named(desk: Desk, open_web: Open) -> None:
    web = await open_web()
    desk.livekit.broken = True
    status, answer = await ask(web)
    assert (status, answer["error"]) == (503, "no_server")
    desk.engine.card = None  # type: ignore[assignment]  # breaks its answer
    status, answer = await ask(web)
    assert (status, answer["error"]) == (503, "no_engine")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"temperature": "hot"}, "temperature='hot'"),
        ({"voice": "calm"}, "fake takes no voice"),
        ({"call": 7}, "call is the token"),
        ([], "JSON object"),
    ],
)
async def test_what_is_wrong_is_named(open_web: Open, body: object, named: str) -> None:
    status, answer = await ask(await open_web(), body)
    assert (status, answer["error"]) == (400, "bad_session")
    assert named in answer["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_what_a_foreign_page_can_send_unasked_is_no_call(open_web: Open, kind: str) -> None:
    answer = await (await open_web()).post(CALL, data="{}", headers={"Content-Type": kind})
    assert answer.status == 400


async def test_a_text_in_no_known_encoding_is_no_call(open_web: Open) -> None:
    headers = {"Content-Type": "application/json; charset=nonsense"}
    assert (await (await open_web()).post(CALL, data="{}", headers=headers)).status == 400


async def test_a_page_of_another_origin_is_refused(desk: Desk, open_web: Open) -> None:
    web = await open_web()
    own = f"http://{web.host}:{web.port}"
    assert (await ask(web, Origin=own))[0] == 200
    for origin in ("http://elsewhere.example", f"http://{web.host}:1", "null", "http://[", "http://a:99999"):
        status, answer = await ask(web, Origin=origin)
        assert (status, answer["error"]) == (403, "forbidden_origin"), origin


async def test_pages_of_another_origin_use_up_nothing(open_web: Open) -> None:
    web = await open_web()
    for _ in range(_AT_ONCE + 1):
        assert (await ask(web, Origin="http://elsewhere.example"))[0] == 403
    assert (await ask(web))[0] == 200


async def test_without_a_secret_calls_are_for_this_machine(open_web: Open) -> None:
    web = await open_web()
    for host in ("localhost:8080", "[::1]:8080"):
        assert (await ask(web, Host=host))[0] == 200, host
    passed_on = ({"X-Forwarded-For": "198.51.100.7"}, {"Forwarded": "for=198.51.100.7"}, {"Via": "1.1 proxy"})
    for headers in ({"Host": "rebound.example:8080"}, {"Host": "[::1"}, *passed_on):
        status, answer = await ask(web, **headers)
        assert (status, answer["error"]) == (403, "forbidden_origin"), headers


async def test_a_secret_is_asked_for(open_web: Open) -> None:
    web = await open_web(worker_call_secret="open sesame 1234")
    assert (await (await web.get(CALL)).json())["secret"] is True
    for headers in ({}, {"Authorization": "Bearer open sesame 123"}, {"Authorization": "open sesame 1234"}):
        status, answer = await ask(web, **headers)
        assert (status, answer["error"]) == (401, "unauthorized")
    right = {"Authorization": "Bearer open sesame 1234", "Host": "calls.example"}
    assert (await ask(web, **right))[0] == 200


async def test_an_address_may_ask_so_often_and_wrong_secrets_count(open_web: Open) -> None:
    web = await open_web(worker_call_secret="open sesame 1234")
    for _ in range(_AT_ONCE):
        assert (await ask(web))[0] == 401
    answer = await web.post(CALL, json={}, headers={"Authorization": "Bearer open sesame 1234"})
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert (await answer.json())["error"] == "too_many_calls"


async def test_behind_a_proxy_that_checks_callers_addresses_and_tls_are_the_proxys_word(
    open_web: Open,
) -> None:
    web = await open_web(worker_calls_checked_upstream=True)
    outside = {"Host": "calls.example", "X-Forwarded-Proto": "https"}
    for _ in range(_AT_ONCE):
        status, answer = await ask(web, **outside, **{"X-Forwarded-For": "made up, 2001:db8::1"})
        assert (status, answer["url"]) == (200, "wss://calls.example")
    same_network = {"X-Forwarded-For": "another, 2001:db8::2"}
    assert (await ask(web, **outside, **same_network))[0] == 429
    assert (await ask(web, **outside, **{"X-Forwarded-For": "198.51.100.7"}))[0] == 200
    # Some proxies add a line of their own.
    two_lines = [*outside.items(), ("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "2001:db8::3")]
    assert (await web.post(CALL, json={}, headers=two_lines)).status == 429


async def test_behind_tls_of_a_proxy_a_call_with_the_secret_uses_it_too(open_web: Open) -> None:
    web = await open_web(worker_call_secret="open sesame 1234")
    proxied = {"Host": "calls.example", "X-Forwarded-Proto": "https"}
    status, answer = await ask(web, Authorization="Bearer open sesame 1234", **proxied)
    assert (status, answer["url"]) == (200, "wss://calls.example")


async def test_a_server_with_tls_of_its_own_is_called_directly(open_web: Open) -> None:
    web = await open_web(livekit_url="wss://project.livekit.cloud")
    assert (await ask(web))[1]["url"] == "wss://project.livekit.cloud"


async def test_the_page_is_served_with_its_files(desk: Desk, open_web: Open) -> None:
    (desk.page / "assets").mkdir(parents=True)
    (desk.page / "index.html").write_text("<title>call</title>")
    (desk.page / "assets" / "main.js").write_text("call()")
    desk.page.with_name("secret.txt").write_text("not for callers")
    web = await open_web()
    index = await web.get("/")
    assert (index.status, await index.text()) == (200, "<title>call</title>")
    assert "frame-ancestors 'none'" in index.headers["Content-Security-Policy"]
    assert await (await web.get("/assets/main.js")).text() == "call()"
    for path in ("/index.html", "/assets/main.js"):
        assert (await web.get(path)).headers["X-Content-Type-Options"] == "nosniff", path
    assert (await web.get("/..%2fsecret.txt")).status in (403, 404)


async def test_a_page_that_was_not_built_says_how_to(open_web: Open) -> None:
    answer = await (await open_web()).get("/")
    assert answer.status == 503
    assert "make setup" in await answer.text()


async def test_who_is_let_in_and_who_is_not_is_counted_by_reason(desk: Desk, open_web: Open) -> None:
    web = await open_web()
    await ask(web)
    await ask(web, [])
    desk.livekit.agents, desk.full = 0, True
    await ask(web)
    await web.get(CALL)
    assert desk.counted == ["accepted", "bad_session", "full"]
    behind = await open_web(worker_call_secret="a secret of the caller")
    await ask(behind)
    assert desk.counted[-1] == "unauthorized"
