from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from engine.models.delays import NOT_GIVEN, hear_and_enter, say_and_leave

SLOTS = 5
OWN, HEARD = 3, 4


class Tokens:
    """A cache full of different numbers, its slots at different steps."""

    def __init__(self, delays: Sequence[int], device: torch.device) -> None:
        channels = 1 + OWN + HEARD
        self.longest = max(delays)
        capacity = self.longest + 2
        self.delays = torch.tensor(delays, device=device)
        self.initial = torch.arange(channels, device=device) + 50
        self.cells = torch.arange(SLOTS * channels * capacity, device=device).view(SLOTS, channels, capacity)
        self.offsets = torch.tensor([0, 1, 2, 7, 3001], device=device)

    def enter(self, heard: Tensor, slots: Tensor, given: Tensor | None, *, kernel: bool) -> Tensor:
        function = hear_and_enter.kernel if kernel else hear_and_enter.plain
        return function(heard, slots, self.cells, self.offsets, self.delays, self.initial, given)

    def leave(self, said: Tensor, slots: Tensor, given: Tensor | None, *, kernel: bool) -> Tensor:
        function = say_and_leave.kernel if kernel else say_and_leave.plain
        text, codes = said[:, 0], said[:, 1:]
        return function(text, codes, slots, self.cells, self.offsets, self.delays, self.longest, given)


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("delays", [(0, 0, 1, 1, 0, 1, 1, 1), (2, 0, 4, 1, 0, 3, 4, 2), (0,) * 8])
def test_steps_are_the_plain_ones_and_padding_changes_nothing(
    delays: Sequence[int], device: torch.device, words: bool
) -> None:
    plain, ours = Tokens(delays, device), Tokens(delays, device)
    generator = torch.Generator().manual_seed(0)
    for step in range(12):
        slots = torch.randperm(SLOTS, generator=generator)[: 1 + step % SLOTS].to(device)
        heard = torch.randint(1000, (len(slots), HEARD), generator=generator).to(device)
        said = torch.randint(1000, (len(slots), 1 + OWN), generator=generator).to(device)
        given = given_padded = None
        if words:
            # Half of them are the model's own.
            given = torch.randint(-1000, 1000, said.shape, generator=generator).clamp(NOT_GIVEN).to(device)
            given_padded = torch.nn.functional.pad(given, (0, 0, 1, 1), value=555)
        # Our rows lie between padding.
        padded = torch.full((len(slots) + 2,), -1, device=device)
        padded[1:-1] = slots
        heard_padded = torch.nn.functional.pad(heard, (0, 0, 1, 1), value=777)
        said_padded = torch.nn.functional.pad(said, (0, 0, 1, 1), value=777)

        fed = ours.enter(heard_padded, padded, given_padded, kernel=True)
        assert torch.equal(fed[1:-1], plain.enter(heard, slots, given, kernel=False))
        assert torch.equal(fed[[0, -1]], ours.initial.expand(2, -1))
        assert torch.equal(ours.cells, plain.cells)

        left = ours.leave(said_padded, padded, given_padded, kernel=True)
        assert torch.equal(left[1:-1], plain.leave(said, slots, given, kernel=False))
        assert not left[[0, -1]].any()
        assert torch.equal(ours.cells, plain.cells)
        assert torch.equal(ours.offsets, plain.offsets)
