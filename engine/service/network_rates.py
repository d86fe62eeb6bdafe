"""How fast each network may do something: an address of IPv4, 64 bits of IPv6."""

import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from engine.service.rate_limit import RateLimit

_REMEMBERED = 10_000
_IPV6_NETWORK = 64


class NetworkRates:
    """A token bucket for each network: `per_second` on average, `burst` at once."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._limits: dict[str, RateLimit] = {}

    def take(self, network: str) -> bool:
        """Whether once more is within its limit; if so, it is used up."""
        # The network that was seen least lately is forgotten.
        limit = self._limits.pop(network, None) or RateLimit(self._per_second, self._burst, self._clock)
        self._limits[network] = limit
        if len(self._limits) > _REMEMBERED:
            del self._limits[next(iter(self._limits))]
        return limit.take(1)


def network_of(address: str) -> str:
    """The network that an address belongs to; what is no address is a network of its own."""
    try:
        parsed = ip_address(address.split("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, _IPV6_NETWORK), strict=False))
