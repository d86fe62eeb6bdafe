from contextlib import ExitStack

import pytest

from engine.errors import TooManyFromAddress
from engine.service.address_limit import AddressLimit
from tests.engine.fake_clock import FakeClock


def test_an_address_has_so_many_calls_and_others_have_theirs() -> None:
    limit = AddressLimit(2, FakeClock())
    with (
        limit.call("192.0.2.1"),
        limit.call("192.0.2.1"),
        limit.call("192.0.2.2"),
        pytest.raises(TooManyFromAddress, match="2 calls already"),
        limit.call("192.0.2.1"),
    ):
        pass
    with limit.call("192.0.2.1"):
        pass


def test_an_ipv6_network_counts_as_one_address() -> None:
    limit = AddressLimit(1, FakeClock())
    with limit.call("2001:db8::1"), limit.call("2001:db8:0:1::1"), limit.call("::ffff:192.0.2.1"):
        for same in ("2001:db8::2", "192.0.2.1"):
            with pytest.raises(TooManyFromAddress), limit.call(same):
                pass


def test_calls_opened_and_ended_without_end_are_limited() -> None:
    clock = FakeClock()
    limit = AddressLimit(2, clock)
    for _ in range(12):
        with limit.call("192.0.2.1"):
            pass
    with pytest.raises(TooManyFromAddress), limit.call("192.0.2.1"):
        pass
    clock.now = 2.0
    with limit.call("192.0.2.1"):
        pass


@pytest.mark.parametrize(("most", "address"), [(0, "192.0.2.1"), (1, None), (1, "")])
def test_there_is_no_limit_where_none_is_set_and_none_on_a_unix_socket(
    most: int, address: str | None
) -> None:
    limit = AddressLimit(most, FakeClock())
    with ExitStack() as calls:
        for _ in range(50):
            calls.enter_context(limit.call(address))
