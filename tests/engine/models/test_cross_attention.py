import torch

from engine.models.cross_attention import attend_at_once, attend_by_rows
from engine.state.told_cache import ToldCache


def test_what_is_told_is_seen_by_its_slot_alone_and_as_long_as_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    cache = ToldCache(3, heads=2, length=6, head_dim=4, device=torch.device("cpu"), dtype=torch.float32)
    told = {2: torch.randn(2, 2, 5, 4, generator=generator), 0: torch.randn(2, 2, 3, 4, generator=generator)}
    cache.write(2, *torch.randn(2, 2, 6, 4, generator=generator))
    for slot, pair in told.items():
        cache.reset(torch.tensor([slot]))
        cache.write(slot, *pair)
    query = torch.randn(2, 2, 1, 4, generator=generator)
    rows = cache.read(torch.tensor([2, 0]))
    for index, (keys, values) in enumerate(told.values()):
        scores = (query[index] @ keys.transpose(1, 2)) / 2
        expected = scores.softmax(dim=-1) @ values
        for attend in (attend_by_rows, attend_at_once):
            torch.testing.assert_close(attend(query, *rows)[index], expected)


def test_a_row_is_the_same_to_the_last_bit_beside_any_other() -> None:
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(7, 4, 1, 16, generator=generator)
    keys, values = torch.randn(2, 7, 4, 90, 16, generator=generator)
    unfilled = torch.arange(90) >= torch.randint(1, 91, (7, 1), generator=generator)
    together = attend_by_rows(query, keys, values, unfilled)
    for row in range(7):
        one = slice(row, row + 1)
        assert torch.equal(attend_by_rows(query[one], keys[one], values[one], unfilled[one]), together[one])
