import pytest

from engine.step.slots import SlotPool


def test_a_slot_comes_back_under_another_generation() -> None:
    pool = SlotPool(1)
    first = pool.take()
    pool.free(first)
    second = pool.take()
    assert (first.index, second.index) == (0, 0)
    assert first != second


def test_the_slot_that_rested_longest_is_next() -> None:
    pool = SlotPool(2)
    first = pool.take()
    pool.free(first)
    assert pool.take().index == 1


def test_a_slot_is_freed_by_its_owner_alone() -> None:
    pool = SlotPool(1)
    old = pool.take()
    pool.free(old)
    pool.take()
    with pytest.raises(AssertionError):
        pool.free(old)
