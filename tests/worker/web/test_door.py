"""What everybody together may ask for, on a clock that the test moves."""

from dataclasses import dataclass

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from engine.errors import ForbiddenOrigin, Unauthorized
from worker.settings import WebSettings, WorkerSettings
from worker.web.door import _ALL_AT_ONCE, _ALL_PER_SECOND, _AT_ONCE, _LOOKS_AT_ONCE, Door
from worker.web.refusals import TooManyCalls

SECRET = "open sesame 1234"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock: Clock) -> Door:
    """One with a secret, behind a proxy that says where callers come from."""
    settings: WebSettings = WorkerSettings.load(
        livekit_api_key="key",
        livekit_api_secret="secret",
        worker_call_secret=SECRET,
        worker_calls_checked_upstream=True,
    )
    return Door(settings, clock)


def asked_by(network: int, secret: str = SECRET, **headers: str) -> web.Request:
    """A request for a call from that network."""
    told = {"Host": "calls.example", "Authorization": f"Bearer {secret}"}
    return make_mocked_request(
        "POST", "/api/call", headers=told | {"X-Forwarded-For": f"2001:db8:0:{network:x}::1"} | headers
    )


def everybody_asks(door: Door) -> None:
    for network in range(_ALL_AT_ONCE):
        door.check(asked_by(network))


def test_many_networks_together_may_ask_so_often_and_no_more(door: Door) -> None:
    everybody_asks(door)
    with pytest.raises(TooManyCalls) as refusal:
        door.check(asked_by(_ALL_AT_ONCE))
    assert refusal.value.http_status == 429
    assert refusal.value.retry_after_s


def test_a_moment_later_some_more_may(door: Door, clock: Clock) -> None:
    everybody_asks(door)
    clock.now += 2.5 / _ALL_PER_SECOND
    for network in range(_ALL_AT_ONCE, _ALL_AT_ONCE + 2):
        door.check(asked_by(network))
    with pytest.raises(TooManyCalls):
        door.check(asked_by(_ALL_AT_ONCE + 2))


def test_who_is_refused_takes_nothing_from_the_others(door: Door) -> None:
    for network in range(1000, 1000 + _ALL_AT_ONCE):
        with pytest.raises(Unauthorized):
            door.check(asked_by(network, secret="guessed"))
        with pytest.raises(ForbiddenOrigin):
            door.check(asked_by(network, Origin="http://elsewhere.example"))
    for _ in range(_AT_ONCE):
        with pytest.raises(Unauthorized):
            door.check(asked_by(2000, secret="guessed"))
    with pytest.raises(TooManyCalls):
        door.check(asked_by(2000))
    everybody_asks(door)


def test_a_network_that_only_looks_may_do_so_often_and_no_more_and_is_let_in_all_the_same(door: Door) -> None:
    for _ in range(_LOOKS_AT_ONCE):
        door.look(asked_by(1))
    with pytest.raises(TooManyCalls):
        door.look(asked_by(1))
    door.look(asked_by(2))
    door.check(asked_by(1))
