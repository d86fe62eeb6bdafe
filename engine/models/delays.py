"""Which tokens enter and leave the model at a step (Moshi paper 3.4.4; `LMGen._step`).

A token of channel k that belongs to time t is fed at step t + delay[k]: the acoustic codes of a frame follow
its semantic code by one step.
"""

import torch
from torch import Tensor

from engine.kernels.fused import fused
from engine.models.config import LMConfig
from engine.state.token_cache import TokenCache

NOT_GIVEN = -1
"""In the place of a token that is the model's own."""


class Delays:
    """The delays of all channels: text, own codebooks, heard codebooks."""

    def __init__(self, config: LMConfig, device: torch.device) -> None:
        self.longest = config.max_delay
        self._said = 1 + config.own_codebooks
        self._delays = torch.tensor(config.delays, device=device)
        # One more than what can be said: nothing that is fed is larger.
        self._largest = (config.text_card, *[config.card] * config.n_q)
        self._initial = torch.tensor(self._largest, device=device)

    def new_state(self, slots: int) -> TokenCache:
        """State for `slots` sessions."""
        return TokenCache(slots, self._largest, self.longest + 2, self._delays.device)

    def no_sound(self, batch: int) -> Tensor:
        """Heard codes int64 [B, H] for a step that nobody speaks in."""
        return self._initial[self._said :].expand(batch, -1)

    def enter(self, cache: TokenCache, slots: Tensor, heard: Tensor, given: Tensor | None = None) -> Tensor:
        """The tokens to feed at this step, int64 [B, K], `heard` codes int64 [B, H] among them.

        given: text and codes int64 [B, 1 + own] of the same time as what is heard, in place of what the model
        says then, or NOT_GIVEN; the same for `enter` and `leave`. For delays of at most one step.
        """
        return hear_and_enter(heard, slots, cache.tokens, cache.offsets, self._delays, self._initial, given)

    def leave(
        self, cache: TokenCache, slots: Tensor, text: Tensor, codes: Tensor, given: Tensor | None = None
    ) -> Tensor:
        """Ends a step that said text int64 [B] and codes [B, own]: both [B, 1 + own] of the latest time that
        is complete.

        Valid for slots that have made more than `longest` steps.
        """
        return say_and_leave(
            text, codes, slots, cache.tokens, cache.offsets, self._delays, self.longest, given
        )


@fused("tokens")
def hear_and_enter(
    heard: Tensor,
    slots: Tensor,
    tokens: Tensor,
    offsets: Tensor,
    delays: Tensor,
    initial: Tensor,
    given: Tensor | None = None,
) -> Tensor:
    """Keeps what is heard, the last channels, until it is fed; what is fed now, int64 [B, K]: initial tokens
    until a channel's delay is over. What is given replaces what was said for now.

    heard: int64 [B, H]; slots: int64 [B]; tokens int64 [S, K, C] and offsets int64 [S] of a `TokenCache`;
    delays and initial: int64 [K]; given: int64 [B, K - H].
    """
    channels, said = torch.arange(len(delays), device=slots.device), len(delays) - heard.shape[1]
    rows, now = slots[:, None], offsets[slots][:, None]
    tokens[rows, channels[said:], (now + delays[said:]) % tokens.shape[2]] = heard
    if given is not None:
        mine = rows, channels[:said], now % tokens.shape[2]
        tokens[mine] = torch.where((given >= 0) & (delays[:said] == 0), given, tokens[mine])
    return torch.where(now <= delays, initial, tokens[rows, channels, now % tokens.shape[2]])


@fused("tokens")
def say_and_leave(
    text: Tensor,
    codes: Tensor,
    slots: Tensor,
    tokens: Tensor,
    offsets: Tensor,
    delays: Tensor,
    longest: int,
    given: Tensor | None = None,
) -> Tensor:
    """Counts the step, keeps what it said, the first channels, and gives what is `longest` steps old in them,
    delays removed: int64 [B, 1 + own]. What is given replaces what is said late.

    text: int64 [B]; codes: int64 [B, own]; the others as in `hear_and_enter`.
    """
    said = torch.cat([text[:, None], codes], dim=1)
    if given is not None:
        said = torch.where((given >= 0) & (delays[: said.shape[1]] > 0), given, said)
    offsets.index_add_(0, slots, torch.ones_like(slots))
    channels = torch.arange(said.shape[1], device=slots.device)
    rows, now = slots[:, None], offsets[slots][:, None]
    tokens[rows, channels, now % tokens.shape[2]] = said
    return tokens[rows, channels, (now - longest + delays[: said.shape[1]]) % tokens.shape[2]]
