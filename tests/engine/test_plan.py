import re
from pathlib import Path

import pytest
import torch

from engine.errors import CheckpointError
from engine.plan import COMMON, Gpu, plan
from engine.step.capacity import Beside, Variant

MOSHI = Variant("random:moshi-7b", torch.bfloat16)
BOTH_INT8 = Variant("random:moshi-7b", torch.bfloat16, "int8", "int8")
STT = Beside(Variant("random:stt-1b", torch.bfloat16), 8)
GPUS = {gpu.name: gpu for gpu in COMMON}


def test_an_h100_holds_the_40_and_80_sessions_of_the_arithmetic() -> None:
    h100 = GPUS["H100 80 GB"]
    assert 40 <= h100.fitting(MOSHI) <= 44
    assert 80 <= h100.fitting(BOTH_INT8) <= 92
    assert h100.readable(MOSHI) > h100.fitting(MOSHI)


def test_a_slow_bus_serves_fewer_than_memory_holds() -> None:
    l4 = GPUS["L4"]
    assert l4.fitting(MOSHI) > 0
    assert l4.readable(MOSHI) == 0
    assert 0 < l4.readable(BOTH_INT8) < l4.fitting(BOTH_INT8)


def test_a_bus_of_unknown_speed_does_not_limit() -> None:
    gpu = Gpu("this", 24.0)
    assert gpu.readable(MOSHI) > gpu.fitting(MOSHI) > 0


@pytest.mark.parametrize("sessions", [1, 7, 30])
def test_the_most_readable_sessions_just_fit_into_70_ms(sessions: int) -> None:
    sizes = BOTH_INT8.sizes()

    def step_ms(count: int, bandwidth: float) -> float:
        # Everything but the tables of embeddings, of which a step reads a few rows.
        return (sizes.weights - 0.63e9 + count * sizes.slot) / bandwidth / 1e6

    bandwidth = (step_ms(sessions, 1.0) + step_ms(1, 1.0)) / 70 * 1.003
    assert Gpu("just", 1000.0, bandwidth).readable(BOTH_INT8) == pytest.approx(sessions, abs=1)


def test_the_page_shows_sizes_and_marks_what_is_limited_by_time() -> None:
    page = "\n".join(plan("random:moshi-7b", None, None, [GPUS["L4"], GPUS["H200"]]))
    assert re.search(r"keys and values +exact 1\.46 GiB, int8 0\.7\d GiB, e4m3 0\.7\d GiB", page)
    titles = next(line for line in page.splitlines() if "exact / exact" in line)
    assert re.split(r"  +", titles.strip()) == [
        "GiB", "exact / exact", "exact / int8", "int8 / exact", "int8 / int8"
    ]  # fmt: skip
    l4, h200 = (line.split() for line in page.splitlines() if line.strip().startswith(("L4", "H200")))
    assert l4[2:4] == ["0*", "0*"]
    assert not any(cell.endswith("*") for cell in h200[2:4])


def test_precisions_that_are_given_are_the_only_ones() -> None:
    lines = list(plan("random:moshi-7b", "fp8", "e4m3", [Gpu("", 24.0)]))
    assert any(line.split()[1:] == ["fp8", "/", "e4m3"] for line in lines)


def test_models_beside_take_their_memory_and_their_step_first() -> None:
    h100, l4 = GPUS["H100 80 GB"], GPUS["L4"]
    alone, both = h100.fitting(MOSHI), h100.fitting(MOSHI, [STT])
    lost = STT.taken / MOSHI.sizes().slot
    assert lost - 1 < alone - both < lost + 1.5
    assert 0 < h100.readable(MOSHI) - h100.readable(MOSHI, [STT]) < 10
    assert l4.readable(BOTH_INT8) > l4.readable(BOTH_INT8, [STT])


def test_more_sessions_beside_leave_fewer_conversations() -> None:
    h100 = GPUS["H100 80 GB"]
    few, many = (h100.fitting(MOSHI, [Beside(STT.variant, count)]) for count in (1, 100))
    assert few - many == pytest.approx(99 * STT.variant.sizes().slot / MOSHI.sizes().slot, abs=1)


def test_the_page_shows_what_each_model_takes() -> None:
    page = list(plan("random:moshi-7b", "exact", "exact", [GPUS["H100 80 GB"]], {"speech to text": STT}))
    at = page.index("random:stt-1b beside it, speech to text")
    assert [line.split("  ")[1] for line in page[at + 1 : at + 4]] == [
        "its models",
        "one of its sessions",
        "with 8, about",
    ]
    assert page[-2].split()[-1] == str(GPUS["H100 80 GB"].fitting(MOSHI, [STT]))


def test_an_adapter_is_looked_for_and_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "lora.safetensors"
    file.write_bytes(bytes(3 << 20))
    gpus = [GPUS["H100 80 GB"]]
    without, adapted = (
        list(plan("random:moshi-7b", "exact", "exact", gpus, lora=each)) for each in (None, str(file))
    )
    (line,) = [line for line in adapted if line not in without]
    assert line.split(maxsplit=1) == [
        "adapter",
        "fused into the language model: 3.00 MiB of a file, and no memory",
    ]
    assert without == [each for each in adapted if each != line]
    with pytest.raises(CheckpointError, match="no adapter 'nowhere'"):
        list(plan("random:moshi-7b", "exact", "exact", gpus, lora="nowhere"))
