"""What somebody with an ordinary reserve hears of sound that does not always come in time."""

from collections import deque
from collections.abc import Iterator, Sequence

RESERVE_S = 0.08
AUDIBLE_S = 0.04
ONE_HOLE_S = 0.1
JUDGED_S = 1.0


def holes(
    arrivals_s: Sequence[float],
    piece_s: float,
    reserve_s: float = RESERVE_S,
    audible_s: float = AUDIBLE_S,
) -> tuple[float, ...]:
    """The holes in what is heard, in milliseconds, those of `audible_s` and more.

    arrivals_s: when each piece of `piece_s` came, in order. The first is played `reserve_s` after it came,
    and each piece as soon as the one before it is over. One that has not come by then leaves a hole until it
    comes. Sound that waits for longer than `reserve_s`, by the latest piece of the last second, is caught up
    with, so a stall does not hide those after it. Holes with less than 0.1 s between them are heard as one,
    as long as their silence.
    """
    heard: list[float] = []
    last_end_s = float("-inf")
    for at_s, lasts_s in _silences(arrivals_s, piece_s, reserve_s):
        if at_s - last_end_s < ONE_HOLE_S:
            heard[-1] += lasts_s
        else:
            heard.append(lasts_s)
        last_end_s = at_s + lasts_s
    return tuple(1000 * lasts_s for lasts_s in heard if lasts_s >= audible_s)


def _silences(arrivals_s: Sequence[float], piece_s: float, reserve_s: float) -> Iterator[tuple[float, float]]:
    """When each silence begins, and how long it lasts, in seconds."""
    # How late each piece came, against a sender that never stops; those of the last second, falling.
    latest: deque[tuple[int, float]] = deque()
    judged = max(1, round(JUDGED_S / piece_s))
    plays_late_s = arrivals_s[0] + reserve_s if arrivals_s else 0.0
    for number, arrived_s in enumerate(arrivals_s):
        late_s = arrived_s - number * piece_s
        if late_s > plays_late_s:
            yield plays_late_s + number * piece_s, late_s - plays_late_s
            plays_late_s = late_s
        while latest and latest[-1][1] <= late_s:
            latest.pop()
        latest.append((number, late_s))
        if latest[0][0] <= number - judged:
            latest.popleft()
        plays_late_s = min(plays_late_s, latest[0][1] + reserve_s)
