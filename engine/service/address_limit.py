"""How many calls one address may have at a time, and how fast it may open them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.errors import TooManyFromAddress
from engine.service.network_rates import NetworkRates, network_of

_OPENED_PER_SECOND = 0.5


class AddressLimit:
    """At most `most` calls at a time from one address, 0 for any number; IPv6 counts by network of 64 bits.

    Openings are limited to one in two seconds, after `most` and ten at once.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._calls: Counter[str] = Counter()
        self._opening = NetworkRates(_OPENED_PER_SECOND, most + 10, clock)

    @contextmanager
    def call(self, address: str | None) -> Iterator[None]:
        """Count a call while it lasts; one without an address comes from a Unix socket.

        Raises TooManyFromAddress.
        """
        if not self._most or not address:
            yield
            return
        caller = network_of(address)
        if self._calls[caller] >= self._most or not self._opening.take(caller):
            raise TooManyFromAddress(self._most)
        self._calls[caller] += 1
        try:
            yield
        finally:
            self._calls[caller] -= 1
            if not self._calls[caller]:
                del self._calls[caller]
