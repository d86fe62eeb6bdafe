"""Who may bring a lost session back, and until when."""

import asyncio

from engine.service.grace import Grace


def watched(seconds: float) -> tuple[Grace, list[str]]:
    grace, expired = Grace(seconds), list[str]()
    grace.expired = expired.append
    return grace, expired


async def test_only_who_does_not_come_back_in_time_is_given_up() -> None:
    grace, expired = watched(0.05)
    for session in ("back", "over", "away"):
        grace.begin(session)
    grace.end("back")
    grace.forget("over")
    while not expired:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert expired == ["away"]


async def test_who_is_lost_again_has_all_the_time_again() -> None:
    grace, expired = watched(600)
    grace.begin("s")
    grace.begin("s")
    assert 599 < grace.left_s("s") <= 600
    grace.forget("s")
    assert expired == []


def test_a_token_is_good_until_the_next_one_is_known_to_have_arrived() -> None:
    grace, _ = watched(15)
    first = grace.token("s")
    second = grace.token("s", used=first)
    assert [grace.find(token) for token in (first, second)] == ["s", "s"]
    third = grace.token("s", used=first)
    assert [grace.find(token) for token in (first, second, third)] == ["s", None, "s"]
    grace.confirm("s")
    assert [grace.find(token) for token in (first, third)] == [None, "s"]
    fourth = grace.token("s")
    assert [grace.find(token) for token in (third, fourth)] == [None, "s"]
    grace.forget("s")
    assert grace.find(fourth) is None


def test_no_two_tokens_are_alike_and_none_is_short() -> None:
    grace, _ = watched(15)
    tokens = {grace.token(str(session)) for session in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 32


def test_where_nothing_is_held_there_are_no_tokens() -> None:
    grace, _ = watched(0)
    assert grace.token("s") == ""
    assert grace.find("") is None
