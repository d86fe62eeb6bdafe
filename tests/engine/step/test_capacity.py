import pytest
import torch

from engine.checkpoint import load
from engine.step.capacity import Sizes, Variant, as_text
from engine.step.moshi_step import MoshiStep

CPU = torch.device("cpu")
MOSHI = Variant("random:moshi-7b", torch.bfloat16)


def test_what_is_reckoned_is_what_is_allocated() -> None:
    model = load("random:tiny", CPU)
    step = MoshiStep(model.mimi, model.lm, slots=5)
    state = sum(tensor.nbytes for part in (step.state, step.own_ears) for tensor in part.tensors())
    weights = sum(tensor.nbytes for part in (model.mimi, model.lm) for tensor in part.parameters())
    weights += sum(tensor.nbytes for part in (model.mimi, model.lm) for tensor in part.buffers())
    sizes = Variant("random:tiny", torch.float32).sizes()
    assert sizes.slot == pytest.approx(state / 5, rel=0.001)
    assert sizes.weights == weights
    assert sizes == Sizes.of(model.mimi, model.lm, "exact")


def test_moshi_takes_what_its_shapes_say() -> None:
    sizes = MOSHI.sizes()
    assert sizes.lm == pytest.approx(15.375e9, rel=0.001)
    assert sizes.kv == pytest.approx(1.5729e9, rel=0.001)
    assert sizes.mimi < 0.5e9
    assert sizes.rest < 30e6


def test_eight_bits_take_half() -> None:
    exact, kv = MOSHI.sizes(), Variant("random:moshi-7b", torch.bfloat16, kv="int8").sizes()
    assert kv.kv == pytest.approx(exact.kv * (1 / 2 + 1 / 128), rel=0.001)
    assert (kv.lm, kv.rest) == (exact.lm, exact.rest)
    for weights in ("int8", "fp8"):
        lm = Variant("random:moshi-7b", torch.bfloat16, weights).sizes().lm
        assert 0.5 < lm / exact.lm < 0.55


@pytest.mark.parametrize(("memory", "slots"), [(9, 0), (10, 0), (11.9, 0), (12, 1), (20, 5), (1e9, 1024)])
def test_slots_share_what_the_weights_leave(memory: float, slots: int) -> None:
    assert Sizes(lm=7, mimi=3, kv=1, rest=1).slots_in(int(memory)) == slots


def test_a_smaller_variant_rounds_what_is_exact() -> None:
    assert [variant.options() for variant in MOSHI.smaller()] == [
        "", "--kv int8", "--weights int8", "--weights int8 --kv int8"
    ]  # fmt: skip
    half = Variant("parrot", torch.float32, "fp8", "e4m3")
    assert [variant.options() for variant in half.smaller()] == ["--weights fp8 --kv e4m3"]


def test_sizes_are_written_for_people() -> None:
    assert [as_text(size) for size in (1_572_864_000, 3 * 2**20)] == ["1.46 GiB", "3.00 MiB"]
