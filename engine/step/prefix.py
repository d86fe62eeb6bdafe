"""How a session begins with tokens that are given: a voice, a role (PersonaPlex's prompts)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.models.config import LMConfig


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What is forced on a session before its first frame, on the host.

    tokens: int64 [K, T], those of all channels by time, T at least 1. vectors: [P, D] with P below T, fed at
    the first P positions in place of what tokens there are embedded as; None: there are tokens for all.
    """

    tokens: NDArray[np.int64]
    vectors: Tensor | None = None

    @property
    def length(self) -> int:
        """T, and as many positions."""
        return int(self.tokens.shape[1])

    @property
    def given(self) -> int:
        """P."""
        return 0 if self.vectors is None else len(self.vectors)


def fed_tokens(config: LMConfig, prefix: Tensor, positions: range) -> Tensor:
    """What the model is fed at `positions` of a prefix, int64 [K, P].

    prefix: int64 [K, T], the tokens of all channels by time. A token of channel k and time t is fed at
    position t + delay[k]; initial ones are up to position delay[k], so that those of time 0 are lost.
    """
    delays = torch.tensor(config.delays)[:, None]
    initial = torch.tensor([config.text_card] + [config.card] * config.n_q)[:, None]
    times = torch.arange(positions.start, positions.stop) - delays
    return torch.where(times > 0, prefix.gather(1, times.clamp(0)), initial)


def without_wrap(positions: range, capacity: int) -> Iterator[range]:
    """`positions` in pieces that overwrite nothing in a ring that one of their own still sees."""
    start = positions.start
    while start < positions.stop:
        stop = min(positions.stop, max(capacity, start + 1))
        yield range(start, stop)
        start = stop
