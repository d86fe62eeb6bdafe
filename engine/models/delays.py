"""Which tokens enter and leave the model at a step (Moshi paper 3.4.4; `LMGen._step`).

A token of channel k that belongs to time t is fed at step t + delay[k]: the acoustic codes of a frame follow
its semantic code by one step.
"""

import torch
from torch import Tensor

from engine.models.config import LMConfig
from engine.state.token_cache import TokenCache


class Delays:
    """The delays of all channels: text, own codebooks, heard codebooks."""

    def __init__(self, config: LMConfig, device: torch.device) -> None:
        self.longest = config.max_delay
        self._said = 1 + config.own_codebooks
        self._delays = torch.tensor(config.delays, device=device)
        self._initial = torch.tensor([config.text_card] + [config.card] * config.n_q, device=device)

    def new_state(self, slots: int) -> TokenCache:
        """State for `slots` sessions."""
        return TokenCache(slots, len(self._delays), self.longest + 2, self._delays.device)

    def no_sound(self, batch: int) -> Tensor:
        """Heard codes int64 [B, H] for a step that nobody speaks in."""
        return self._initial[self._said :].expand(batch, -1)

    def hear(self, cache: TokenCache, slots: Tensor, codes: Tensor) -> None:
        """Keeps the heard codes int64 [B, H] of this step's time."""
        cache.write(slots, self._said, cache.offsets[slots][:, None] + self._delays[self._said :], codes)

    def enter(self, cache: TokenCache, slots: Tensor) -> Tensor:
        """The tokens to feed at this step, int64 [B, K]: initial ones until a channel's delay is over."""
        now = cache.offsets[slots][:, None].expand(-1, len(self._delays))
        return torch.where(now <= self._delays, self._initial, cache.read(slots, now))

    def say(self, cache: TokenCache, slots: Tensor, tokens: Tensor) -> None:
        """Keeps what the model said at this step, int64 [B, 1 + own] (text, codes), and ends the step."""
        cache.offsets.index_add_(0, slots, torch.ones_like(slots))
        cache.write(slots, 0, cache.offsets[slots][:, None].expand_as(tokens), tokens)

    def leave(self, cache: TokenCache, slots: Tensor) -> Tensor:
        """After `say`: text and own codes of the latest time that is complete, int64 [B, 1 + own].

        Valid for slots that have made more than `longest` steps.
        """
        delays = self._delays[: self._said]
        times = cache.offsets[slots][:, None] - self.longest + delays
        return cache.read(slots, times)
