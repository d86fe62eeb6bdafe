"""Erlang's formula B: how many calls find every seat taken, where none of them waits."""


def refused_share(erlangs: float, seats: int) -> float:
    """Share of calls refused, 0 to 1, where callers come independently of each other.

    erlangs: calls that would be on at the same time if there were seats for all, which is calls per second
    times seconds of a call, whatever its distribution.
    """
    share = 1.0
    for count in range(1, seats + 1):
        share = erlangs * share / (count + erlangs * share)
    return share


def erlangs_at(refused: float, seats: int) -> float:
    """How many calls may be on at the same time on average, if that share of callers is refused at most.

    refused: above 0 and below 1.
    """
    low, high = 0.0, seats / (1 - refused)
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if refused_share(middle, seats) <= refused else (low, middle)
    return low
